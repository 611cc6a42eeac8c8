"""What makes samples: any size of pictures and vectors, by every way there is, without touching the teacher."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from tests.synthesis.frames import features, guide_for, pictures

from limbeck.models.arithmetic import Arithmetic
from limbeck.models.weights import checksum
from limbeck.synthesis.frame import Frame
from limbeck.synthesis.from_generator import FromGenerator
from limbeck.synthesis.from_latents import FromLatents
from limbeck.synthesis.from_pixels import FromPixels
from limbeck.synthesis.gan import Gan, _moved
from limbeck.synthesis.generator import generator_for
from limbeck.synthesis.maker import Maker, every_class
from limbeck.synthesis.noise import gaussian_noise, matched_noise, uniform_noise
from limbeck.synthesis.statistics import recorded_moments
from limbeck.synthesis.weights import Weights


def _gan(frame: Frame) -> Maker:
    real = frame.fill(torch.randn(9, *frame.shape))
    return Gan(frame, real, torch.arange(9) % 3, classes=3, latent=5, width=4, rate=0.001, steps=2)


MAKERS: dict[str, Callable[[Frame], Maker]] = {
    "generator": lambda frame: FromGenerator(frame, latent=5, width=4, rate=0.01, steps=3),
    "pixels": lambda frame: FromPixels(frame, classes=3, rate=0.1, steps=3),
    "latents": lambda frame: FromLatents(frame, classes=3, latent=5, width=4, rate=0.03, steps=3, meta=1.0),
    "meta": lambda frame: FromLatents(frame, classes=3, latent=5, width=4, rate=0.03, steps=3, meta=0.5),
    "gan": _gan,
}
FRAMES = {"grey": pictures(), "colour": pictures(3, 9, 14), "vectors": features()}


@pytest.mark.parametrize("side", [8, 9, 28, 33, 64, 224])
@pytest.mark.parametrize("channels", [1, 3])
def test_generators_make_pictures_of_any_size(side: int, channels: int) -> None:
    frame = pictures(channels, side, side + 1)
    made = generator_for(frame, 6, 2)(torch.randn(2, 6)).detach()
    assert made.shape == (2, channels, side, side + 1)
    assert 0 <= float(made.min()) <= float(made.max()) <= 1


def test_vectors_are_made_around_the_mean() -> None:
    frame = features(50)
    made = generator_for(frame, 6, 4)(torch.randn(400, 6)).detach()
    assert float((made.mean(0) - frame.mean).abs().div(frame.std).max()) < 1


@pytest.mark.parametrize("kind", FRAMES)
@pytest.mark.parametrize("name", MAKERS)
def test_every_way_makes_samples_and_leaves_the_teacher_as_it_is(name: str, kind: str) -> None:
    frame = FRAMES[kind]
    guide = guide_for(frame)
    before = checksum(guide.teacher.net)
    maker = MAKERS[name](frame)
    parts = [maker.make(guide, 12) for _ in range(2)]
    assert all(made.samples.shape == (12, *frame.shape) and not made.samples.requires_grad for made in parts)
    assert all(torch.isfinite(made.samples).all() for made in parts)
    assert checksum(guide.teacher.net) == before and not guide.teacher.training
    wanted = {"discriminator", "generator"} if name == "gan" else {"one_hot", "adversarial", "activation"}
    assert wanted <= parts[0].parts.keys()
    assert ("batch_norm" in parts[0].parts) == (kind != "vectors" and name != "gan")


@pytest.mark.parametrize("kind", FRAMES)
def test_a_generator_that_begins_again_is_as_new(kind: str) -> None:
    frame = FRAMES[kind]
    guide = guide_for(frame)
    torch.manual_seed(3)
    maker = FromGenerator(frame, latent=5, width=4, rate=0.01, steps=3)
    fresh = {name: value.clone() for name, value in maker.generator.state_dict().items()}
    maker.make(guide, 12)
    torch.manual_seed(3)
    maker.begin_again()
    assert not maker.optimizer.state
    assert all(torch.equal(value, fresh[name]) for name, value in maker.generator.state_dict().items())


@pytest.mark.parametrize("name", ["generator", "latents", "pixels"])
def test_half_precision_makes_samples_that_are_as_good(name: str) -> None:
    frame = pictures()
    guide = guide_for(frame, Weights(one_hot=1))
    found = []
    for arithmetic in (Arithmetic(), Arithmetic("bf16", True)):
        torch.manual_seed(1)
        maker = MAKERS[name](frame)
        made = [maker.make(replace(guide, arithmetic=arithmetic), 12) for _ in range(20)]
        assert made[-1].samples.dtype == torch.float32
        found.append(made[-1].parts["one_hot"])
    assert found[1] != found[0]  # it was computed otherwise
    assert found[1] == pytest.approx(found[0], abs=0.15)


@pytest.mark.parametrize("name", ["pixels", "latents"])
def test_the_loss_falls_within_a_round(name: str) -> None:
    frame = pictures()
    guide = guide_for(frame, Weights(batch_norm=1))
    real = (torch.rand(60, *frame.shape, generator=torch.Generator().manual_seed(2)) > 0.7).float()
    guide = replace(guide, moments=recorded_moments(guide.teacher, [real]))
    gaps = []
    for steps in (1, 60):
        torch.manual_seed(1)
        maker = MAKERS[name](frame)
        assert isinstance(maker, FromPixels | FromLatents)
        maker.steps = steps
        gaps.append(maker.make(guide, 12).parts["batch_norm"])
    assert gaps[1] < 0.5 * gaps[0]


def test_a_meta_generator_goes_half_of_the_way() -> None:
    frame, ways = pictures(), {}
    for meta in (0.0, 0.5, 1.0):
        torch.manual_seed(3)
        maker = FromLatents(frame, classes=3, latent=5, width=4, rate=0.03, steps=2, meta=meta)
        maker.make(guide_for(frame), 12)
        ways[meta] = torch.cat([one.flatten() for one in maker.generator.parameters()]).detach()
    assert torch.allclose(ways[0.5], (ways[0.0] + ways[1.0]) / 2, atol=1e-6)
    assert not torch.equal(ways[0.0], ways[1.0])


def test_every_class_is_asked_for_as_often() -> None:
    counts = torch.bincount(every_class(32, 5, torch.device("cpu")))
    assert counts.sum() == 32 and counts.max() - counts.min() <= 1


def test_real_pictures_are_shifted_over_black() -> None:
    torch.manual_seed(0)
    marked = torch.zeros(64, 2, 16, 16)
    marked[:, 1, 8, 5] = 1.0
    moved = _moved(marked)
    places = moved[:, 1].flatten(1).argmax(1)
    assert torch.equal(moved.sum((1, 2, 3)), torch.ones(64)) and float(moved[:, 0].sum()) == 0
    assert set((places // 16).tolist()) == set(range(6, 11)) and set((places % 16).tolist()) == set(range(3, 8))


def test_noise_has_the_distribution_that_it_names() -> None:
    generator = torch.Generator().manual_seed(0)
    frame, vectors = pictures(2), features(4)
    flat = uniform_noise(frame, 500, generator)
    assert float(flat.min()) >= 0 and float(flat.max()) <= 1 and float(flat.mean()) == pytest.approx(0.5, abs=0.01)
    normal = gaussian_noise(vectors, 4000, generator)
    spread = uniform_noise(vectors, 4000, generator)
    for found in (normal, spread):
        assert torch.allclose(found.mean(0), vectors.mean, atol=0.25)
        assert torch.allclose(found.std(0), vectors.std, rtol=0.1)
    real = torch.stack([torch.zeros(1, 3, 3), torch.ones(1, 3, 3)])
    real[:, :, 0, 0] = 0.5
    matched = matched_noise(real, 1000, generator)
    assert (matched[:, 0, 0, 0] == 0.5).all() and matched[:, 0, 1, 1].mean() == pytest.approx(0.5, abs=0.06)
    pair = np_correlation(matched[:, 0, 1, 1], matched[:, 0, 2, 2])
    assert abs(pair) < 0.12  # in the real samples it is 1


def np_correlation(left: torch.Tensor, right: torch.Tensor) -> float:
    return float(torch.corrcoef(torch.stack([left, right]))[0, 1])
