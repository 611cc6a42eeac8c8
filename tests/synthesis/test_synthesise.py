"""The rounds: a bounded pool, the same result after a kill, an end with the reason where it is no use."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.synthesis.frames import guide_for, pictures
from torch import Tensor

from limbeck.errors import TrainingError
from limbeck.models.adapt import Adapted
from limbeck.models.lenet import LeNet5
from limbeck.synthesis import synthesise as loop
from limbeck.synthesis.batch_norm import batch_norm
from limbeck.synthesis.frame import Frame
from limbeck.synthesis.from_latents import FromLatents
from limbeck.synthesis.gauges import Gauge, trouble
from limbeck.synthesis.guide import Guide
from limbeck.synthesis.learner import Learner
from limbeck.synthesis.maker import Made, Maker
from limbeck.synthesis.pool import Pool, file_of
from limbeck.synthesis.statistics import known_moments, recorded_moments
from limbeck.synthesis.synthesise import Course, synthesise

FRAME = pictures()


class Stopped(Exception):
    """In the place of a kill."""


def made(folder: Path, *, stop: int | None = None, rounds: int = 8) -> tuple[Pool, dict[str, Tensor]]:
    """Make some rounds with everything that keeps state: generator, student, memory, pool."""
    guide = guide_for(FRAME)
    torch.manual_seed(5)
    maker = FromLatents(FRAME, classes=3, latent=5, width=4, rate=0.03, steps=2, meta=0.5)
    pool = Pool(FRAME, size=36, batch=12, classes=3)
    assert guide.student is not None

    def tell(gauge: Gauge) -> None:
        if gauge.round == stop:
            raise Stopped

    learner = Learner(guide.student)
    synthesise(maker, guide, pool, Course(rounds, None, 2, seed=4), folder, learner=learner, tell=tell)
    return pool, {**maker.generator.state_dict(), **guide.student.net.state_dict()}


@pytest.mark.parametrize("stop", [1, 4, 6])
def test_a_killed_synthesis_comes_to_the_same_samples(
    stop: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "trouble", lambda gauge, classes: None)  # of a teacher that knows nothing
    whole, weights = made(tmp_path / "whole")
    monkeypatch.setattr(loop, "SAVED_SECONDS", 0.0)
    with pytest.raises(Stopped):
        made(tmp_path / "killed", stop=stop)
    again, found = made(tmp_path / "killed")
    assert all(torch.equal(one, other) for one, other in zip(whole.contents(), again.contents(), strict=True))
    assert all(torch.equal(value, found[name]) for name, value in weights.items())
    names = {file_of(number) for number in (5, 6, 7)}
    assert {path.name for path in (tmp_path / "killed").glob("*.batch")} == names == {
        path.name for path in (tmp_path / "whole").glob("*.batch")
    }  # fmt: skip


def test_the_pool_is_bounded_on_disk_and_read_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "SAVED_SECONDS", 0.0)
    monkeypatch.setattr(loop, "trouble", lambda gauge, classes: None)  # of a teacher that knows nothing
    pool, _ = made(tmp_path, rounds=9)
    assert len(pool) == 36 and pool.rounds == [6, 7, 8]
    assert len(list(tmp_path.glob("*.batch"))) == 3
    other = Pool(FRAME, size=36, batch=12, classes=3)
    other.read(tmp_path, pool.rounds)
    assert all(torch.equal(one, two) for one, two in zip(pool.contents(), other.contents(), strict=True))


def test_samples_are_drawn_as_often_of_every_class_that_there_is() -> None:
    pool = Pool(FRAME, size=40, batch=20, classes=3)
    logits = torch.zeros(20, 3)
    logits[:18, 0], logits[18:, 2] = 5.0, 5.0
    pool.add(0, torch.rand(20, 1, 8, 8), logits)
    torch.manual_seed(0)
    _, drawn = pool.draw(2000)
    counts = torch.bincount(drawn.argmax(1), minlength=3)
    assert int(counts[1]) == 0 and abs(int(counts[0]) - 1000) < 120


class Constant(Maker):
    """Makes one sample over and over."""

    def __init__(self, sample: Tensor) -> None:
        super().__init__()
        self.sample = sample

    def make(self, guide: Guide, count: int) -> Made:
        return Made(self.sample.expand(count, *self.sample.shape))


def test_a_collapse_ends_the_work_with_the_reason(tmp_path: Path) -> None:
    pool = Pool(FRAME, size=24, batch=12, classes=3)
    with pytest.raises(TrainingError, match=r"stopped in round 2: all samples of a batch are alike .* raise"):
        synthesise(Constant(torch.full((1, 8, 8), 0.5)), guide_for(FRAME), pool, Course(10), tmp_path)


def gauge(**changed: object) -> Gauge:
    usual = {"classes": 10, "balance": 1.0, "entropy": 0.1, "diversity": 0.8, "statistics_gap": None}
    return Gauge(**{"round": 3, "seconds": 1.0, "agreement": None, "parts": {}, **usual, **changed})  # type: ignore[arg-type]


def test_trouble_is_named() -> None:
    assert trouble(gauge(), 10) is None
    assert trouble(gauge(classes=6), 10) is None
    assert "only 5 of 10 classes" in str(trouble(gauge(classes=5), 10))
    assert "no numbers any more; lower data.generated.rate" in str(trouble(gauge(parts={"one_hot": float("nan")}), 10))


def test_a_maker_begins_again_after_so_many_rounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "trouble", lambda gauge, classes: None)
    begun: list[int] = []

    class Counted(Constant):
        def begin_again(self) -> None:
            begun.append(len(pool.rounds))

    pool = Pool(FRAME, size=240, batch=12, classes=3)
    maker = Counted(torch.rand(1, 8, 8))
    synthesise(maker, guide_for(FRAME), pool, Course(10, restart=4), tmp_path / "whole")
    assert begun == [4, 8]


def test_gauges_are_some_forty_however_many_rounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "trouble", lambda gauge, classes: None)
    pool = Pool(FRAME, size=24, batch=12, classes=3)
    maker = Constant(torch.rand(1, 8, 8))
    found = synthesise(maker, guide_for(FRAME), pool, Course(200), tmp_path).gauges
    assert 40 <= len(found) <= 42 and found[0]["round"] == 0 and found[-1]["round"] == 199


def test_minutes_end_the_work_early(tmp_path: Path) -> None:
    pool = Pool(FRAME, size=24, batch=12, classes=3)
    maker = FromLatents(FRAME, classes=3, latent=5, width=4, rate=0.03, steps=1, meta=1.0)
    progress = synthesise(maker, guide_for(FRAME), pool, Course(50, minutes=1e-9), tmp_path)
    assert progress.round == 1 and len(pool) == 12


def test_moments_of_a_teacher_without_batch_norm_are_measured_on_real_samples() -> None:
    torch.manual_seed(0)
    model = Adapted(LeNet5((1, 16, 16), 3), classes=3).eval()
    real = torch.rand(50, 1, 16, 16)
    assert known_moments(model) == {}
    found = recorded_moments(model, torch.split(real, 20))
    assert {len(mean) for mean, _ in found.values()} == {1, 6, 64, 120, 84}
    with model.hearing(list(found)) as heard, torch.no_grad():
        model(real)
        assert float(batch_norm(heard, found)) < 1e-3
        model(torch.rand(50, 1, 16, 16) ** 3)
        assert float(batch_norm(heard, found)) > 0.1


def test_moments_of_batch_norms_are_the_running_ones() -> None:
    guide = guide_for(FRAME)
    found = known_moments(guide.teacher)
    assert len(found) == 2 and all(float(variance.min()) == 1 for _, variance in found.values())
    with guide.teacher.hearing(list(found)) as heard:
        guide.teacher(torch.rand(4, 1, 8, 8))
    assert {name: tuple(value.shape) for name, value in heard.items()} == dict.fromkeys(found, (4, 4, 8, 8))


def test_a_frame_stores_pictures_in_bytes_and_vectors_as_they_are() -> None:
    shown = torch.rand(3, 1, 8, 8)
    assert float((FRAME.shown(FRAME.stored(shown)) - shown).abs().max()) <= 0.5 / 255 + 1e-6
    vectors = Frame((4,), False, torch.zeros(4), torch.ones(4))
    assert torch.equal(vectors.shown(vectors.stored(shown.view(3, -1)[:, :4])), shown.view(3, -1)[:, :4])
