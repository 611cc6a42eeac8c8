from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor, nn
from torch.nn import functional

from limbeck.errors import ModelError
from limbeck.models import ResNet
from limbeck.recipe.schema import section_of

RGB = (3, 32, 32)


def parameters(net: nn.Module) -> int:
    return sum(parameter.numel() for parameter in net.parameters())


def by_hand(depth: int, width: int, stem: int, classes: int) -> int:
    """Convolutions without bias, two numbers a channel for each batch norm, one linear layer."""
    total, inputs = 3 * 9 * stem + 2 * stem, stem
    for stage, outputs in enumerate((width, 2 * width, 4 * width)):
        total += inputs * outputs * 9 + outputs * outputs * 9 + 4 * outputs
        total += (inputs * outputs + 2 * outputs) if stage or inputs != outputs else 0
        total += ((depth - 2) // 6 - 1) * (2 * outputs * outputs * 9 + 4 * outputs)
        inputs = outputs
    return total + inputs * classes + classes


@pytest.mark.parametrize(
    ("depth", "width", "stem", "classes", "published"),
    [
        (20, 16, None, 10, 272_474),
        (8, 16, None, 100, 83_892),
        (14, 16, None, 100, 181_108),
        (20, 16, None, 100, 278_324),
        (32, 16, None, 100, 472_756),
        (44, 16, None, 100, 667_188),
        (56, 16, None, 100, 861_620),
        (110, 16, None, 100, 1_736_564),
        (8, 64, 32, 100, 1_233_540),
        (32, 64, 32, 100, 7_433_860),
    ],
)
def test_parameters_are_the_published_ones(
    depth: Any, width: int, stem: int | None, classes: int, published: int
) -> None:
    with torch.device("meta"):
        found = parameters(ResNet(RGB, classes, depth=depth, width=width, stem=stem))
    assert found == published == by_hand(depth, width, stem or width, classes)


def reference(state: dict[str, Tensor], inputs: Tensor, blocks: int) -> Tensor:
    """The paper's network in evaluation mode, layer by layer."""

    def convolved(x: Tensor, convolution: str, norm: str, stride: int = 1) -> Tensor:
        weight = state[f"{convolution}.weight"]
        x = functional.conv2d(x, weight, stride=stride, padding=weight.shape[-1] // 2)
        mean, variance = state[f"{norm}.running_mean"], state[f"{norm}.running_var"]
        scale = state[f"{norm}.weight"] / (variance + 1e-5).sqrt()
        return (x - mean[:, None, None]) * scale[:, None, None] + state[f"{norm}.bias"][:, None, None]

    x = convolved(inputs, "stem.0", "stem.1").clamp(min=0)
    for block in range(3 * blocks):
        stride = 2 if block in (blocks, 2 * blocks) else 1
        name = f"body.{block}"
        y = convolved(x, f"{name}.residual.0", f"{name}.residual.1", stride).clamp(min=0)
        y = convolved(y, f"{name}.residual.3", f"{name}.residual.4")
        if f"{name}.shortcut.0.weight" in state:
            x = convolved(x, f"{name}.shortcut.0", f"{name}.shortcut.1", stride)
        x = (x + y).clamp(min=0)
    return x.mean(dim=(2, 3)) @ state["head.weight"].T + state["head.bias"]


@pytest.mark.parametrize("stem", [None, 3])
def test_answers_are_those_of_the_definition(stem: int | None) -> None:
    torch.manual_seed(0)
    net = ResNet((2, 9, 12), 3, depth=14, width=4, stem=stem)
    for _ in range(2):
        net(torch.randn(16, 2, 9, 12))
    inputs = torch.randn(3, 2, 9, 12)
    wanted = reference(net.state_dict(), inputs, blocks=2)
    torch.testing.assert_close(net.eval()(inputs), wanted, rtol=1e-4, atol=1e-4)


def test_resolution_is_halved_twice() -> None:
    net = ResNet(RGB, 10, depth=8, width=2, stem=5)
    sizes, x = [], net.stem(torch.rand(2, *RGB))
    for block in net.body:
        sizes.append(tuple(x.shape[1:]))
        x = block(x)
    assert [*sizes, tuple(x.shape[1:])] == [(5, 32, 32), (2, 32, 32), (4, 16, 16), (8, 8, 8)]


@given(
    channels=st.integers(1, 4), height=st.integers(8, 33), width=st.integers(8, 33), count=st.integers(1, 3),
    classes=st.integers(2, 5), stem=st.none() | st.integers(1, 5), depth=st.sampled_from([8, 14]),
)  # fmt: skip
@settings(max_examples=15)
def test_pictures_of_any_size_from_8_by_8_get_logits(
    channels: int, height: int, width: int, count: int, classes: int, stem: int | None, depth: Any
) -> None:
    net = ResNet((channels, height, width), classes, depth=depth, width=2, stem=stem)
    assert net(torch.rand(count, channels, height, width)).shape == (count, classes)


def test_weights_start_as_he_et_al_draw_them() -> None:
    torch.manual_seed(0)
    net = ResNet((3, 8, 8), 10, depth=8, width=32)
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d):
            wanted = (2 / (layer.out_channels * layer.kernel_size[0] ** 2)) ** 0.5
            assert float(layer.weight.detach().std()) == pytest.approx(wanted, rel=0.1)


def test_the_seed_decides() -> None:
    answers = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        answers.append(ResNet((1, 8, 8), 3, depth=8, width=2)(torch.ones(2, 1, 8, 8)))
    assert torch.equal(answers[0], answers[1]) and not torch.equal(answers[0], answers[2])


def test_it_learns_and_a_gradient_reaches_every_parameter(silent: Any, losses: Any) -> None:
    torch.manual_seed(0)
    net = ResNet((1, 8, 8), 3, depth=14, width=4, stem=3)
    assert silent(net, (1, 8, 8)) == []
    found = losses(net, (1, 8, 8))
    assert found[-1] < 0.3 * found[0]


def test_the_exported_file_gives_the_same_answers(export: Any) -> None:
    export(ResNet((1, 9, 8), 3, depth=8, width=2, stem=3), (1, 9, 8), "image")


@pytest.mark.parametrize("shape", [(1, 7, 9), (64,), (8, 8), (1, 1, 8, 8), ()])
def test_samples_that_do_not_fit_get_a_sentence(shape: tuple[int, ...]) -> None:
    with pytest.raises(ModelError) as caught:
        ResNet(shape, 10)
    assert str(caught.value) == (
        f"resnet expects pictures [channels, height, width] of at least 8 x 8 pixels, got samples of shape "
        f"{list(shape)}."
    )


def test_depths_are_those_of_the_literature() -> None:
    wrong: Any = 18
    with pytest.raises(ModelError, match=r"^resnet expects a depth among 8, 14, 20, 26, 32, 44, 56, 110, got 18\.$"):
        ResNet(RGB, 10, depth=wrong)
    with pytest.raises(ValidationError):
        section_of(ResNet)(depth=18)


def test_what_a_recipe_may_set() -> None:
    assert section_of(ResNet)().model_dump() == {"depth": 20, "width": 16, "stem": None}
