from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import nn

from limbeck.errors import ModelError
from limbeck.models import VGG
from limbeck.recipe.schema import section_of

RGB = (3, 32, 32)


def parameters(net: nn.Module) -> int:
    return sum(parameter.numel() for parameter in net.parameters())


@pytest.mark.parametrize(
    ("depth", "widths", "published"),
    [
        (8, [64, 128, 256, 512, 512], 3_965_028),
        (13, [64, 64, 128, 128, 256, 256, 512, 512, 512, 512], 9_462_180),
    ],
)
def test_parameters_are_the_published_ones(depth: Any, widths: list[int], published: int) -> None:
    with torch.device("meta"):
        found = parameters(VGG(RGB, 100, depth=depth))
    by_hand = sum(
        inputs * outputs * 9 + outputs + 2 * outputs for inputs, outputs in zip([3, *widths], widths, strict=False)
    )
    assert found == published == by_hand + 512 * 100 + 100


@pytest.mark.parametrize(
    ("shape", "left"),
    [
        ((3, 32, 32), (4, 4)),
        ((3, 64, 64), (4, 4)),
        ((1, 28, 28), (3, 3)),
        ((1, 8, 8), (4, 4)),
        ((1, 8, 33), (4, 16)),
        ((1, 16, 12), (4, 3)),
        ((3, 96, 128), (6, 8)),
    ],
)
def test_a_picture_is_halved_as_long_as_3_by_3_are_left(shape: tuple[int, ...], left: tuple[int, int]) -> None:
    with torch.device("meta"):
        found = VGG(shape, 10).body(torch.rand(2, *shape)).shape
    assert found == (2, 512, *left)


@pytest.mark.parametrize(("depth", "groups"), [(8, "CCCCC"), (13, "CCCCCCCCCC")])
def test_layers_come_in_the_order_of_the_definition(depth: Any, groups: str) -> None:
    letters = {nn.Conv2d: "C", nn.BatchNorm2d: "N", nn.ReLU: "R", nn.MaxPool2d: "P"}
    with torch.device("meta"):
        body = VGG((3, 64, 64), 10, depth=depth).body
    found = "".join(letters[type(layer)] for layer in body)
    one = "CNR" * (len(groups) // 5)
    assert found == f"{one}P" * 4 + one


@given(
    channels=st.integers(1, 3), height=st.integers(8, 20), width=st.integers(8, 20), count=st.integers(1, 2),
    classes=st.integers(2, 5),
)  # fmt: skip
@settings(max_examples=6)
def test_pictures_of_any_size_from_8_by_8_get_logits(
    channels: int, height: int, width: int, count: int, classes: int
) -> None:
    net = VGG((channels, height, width), classes)
    assert net(torch.rand(count, channels, height, width)).shape == (count, classes)


def test_the_seed_decides() -> None:
    answers = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        answers.append(VGG((1, 8, 8), 3)(torch.ones(2, 1, 8, 8)))
    assert torch.equal(answers[0], answers[1]) and not torch.equal(answers[0], answers[2])


def test_it_learns_and_a_gradient_reaches_every_parameter(silent: Any, losses: Any) -> None:
    torch.manual_seed(0)
    net = VGG((1, 8, 8), 3)
    idle = {name for name, _ in net.named_parameters() if name.startswith("body") and name.endswith("bias")}
    assert set(silent(net, (1, 8, 8))) <= idle  # a bias before batch norm: 0, or what rounding leaves
    found = losses(net, (1, 8, 8))
    assert found[-1] < 0.3 * found[0]


def test_the_exported_file_gives_the_same_answers(export: Any) -> None:
    export(VGG((1, 9, 8), 3), (1, 9, 8), "image")


@pytest.mark.parametrize("shape", [(1, 7, 9), (64,), (8, 8)])
def test_samples_that_do_not_fit_get_a_sentence(shape: tuple[int, ...]) -> None:
    with pytest.raises(ModelError) as caught:
        VGG(shape, 10)
    assert str(caught.value) == (
        f"vgg expects pictures [channels, height, width] of at least 8 x 8 pixels, got samples of shape {list(shape)}."
    )


def test_depths_are_those_of_the_literature() -> None:
    wrong: Any = 16
    with pytest.raises(ModelError, match=r"^vgg expects a depth among 8, 13, got 16\.$"):
        VGG(RGB, 10, depth=wrong)
    with pytest.raises(ValidationError):
        section_of(VGG)(depth=16)


def test_what_a_recipe_may_set() -> None:
    assert section_of(VGG)().model_dump() == {"depth": 8}
