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
from limbeck.models import WRN
from limbeck.recipe.schema import section_of

RGB = (3, 32, 32)


def parameters(net: nn.Module) -> int:
    return sum(parameter.numel() for parameter in net.parameters())


def by_hand(depth: int, width: int, classes: int) -> int:
    """Convolutions without bias; each has a batch norm before it, shortcuts and the first one apart."""
    total, inputs = 3 * 16 * 9, 16
    for outputs in (16 * width, 32 * width, 64 * width):
        for _ in range((depth - 4) // 6):
            total += 2 * inputs + inputs * outputs * 9 + 2 * outputs + outputs * outputs * 9
            total += inputs * outputs if inputs != outputs else 0
            inputs = outputs
    return total + 2 * inputs + inputs * classes + classes


@pytest.mark.parametrize(
    ("depth", "width", "classes", "published"),
    [
        (40, 2, 100, 2_255_156),
        (40, 1, 100, 569_780),
        (16, 2, 100, 703_284),
        (16, 1, 100, 180_916),
        (16, 1, 10, 175_066),
        (28, 10, 10, 36_479_194),
    ],
)
def test_parameters_are_the_published_ones(depth: Any, width: int, classes: int, published: int) -> None:
    with torch.device("meta"):
        found = parameters(WRN(RGB, classes, depth=depth, width=width))
    assert found == published == by_hand(depth, width, classes)


def reference(state: dict[str, Tensor], inputs: Tensor, blocks: int) -> Tensor:
    """The paper's network in evaluation mode, layer by layer."""

    def active(x: Tensor, norm: str) -> Tensor:
        mean, variance = state[f"{norm}.running_mean"], state[f"{norm}.running_var"]
        scale = state[f"{norm}.weight"] / (variance + 1e-5).sqrt()
        return ((x - mean[:, None, None]) * scale[:, None, None] + state[f"{norm}.bias"][:, None, None]).clamp(min=0)

    x = functional.conv2d(inputs, state["stem.weight"], padding=1)
    for block in range(3 * blocks):
        stride, name = 2 if block in (blocks, 2 * blocks) else 1, f"body.{block}"
        before = active(x, f"{name}.activate.0")
        y = functional.conv2d(before, state[f"{name}.residual.0.weight"], stride=stride, padding=1)
        y = functional.conv2d(active(y, f"{name}.residual.1"), state[f"{name}.residual.4.weight"], padding=1)
        if f"{name}.shortcut.weight" in state:
            x = functional.conv2d(before, state[f"{name}.shortcut.weight"], stride=stride)
        x = x + y
    pooled = active(x, f"body.{3 * blocks}").mean(dim=(2, 3))
    return pooled @ state["head.weight"].T + state["head.bias"]


@pytest.mark.parametrize(("depth", "width"), [(10, 1), (16, 2)])
def test_answers_are_those_of_the_definition(depth: Any, width: int) -> None:
    torch.manual_seed(0)
    net = WRN((2, 9, 12), 3, depth=depth, width=width, dropout=0.5)
    for _ in range(2):
        net(torch.randn(16, 2, 9, 12))
    inputs = torch.randn(3, 2, 9, 12)
    wanted = reference(net.state_dict(), inputs, (depth - 4) // 6)
    torch.testing.assert_close(net.eval()(inputs), wanted, rtol=1e-4, atol=1e-4)


@given(
    channels=st.integers(1, 4), height=st.integers(8, 24), width=st.integers(8, 24), count=st.integers(1, 3),
    classes=st.integers(2, 5), dropout=st.sampled_from([0.0, 0.3]),
)  # fmt: skip
@settings(max_examples=12)
def test_pictures_of_any_size_from_8_by_8_get_logits(
    channels: int, height: int, width: int, count: int, classes: int, dropout: float
) -> None:
    net = WRN((channels, height, width), classes, depth=10, dropout=dropout)
    assert net(torch.rand(count, channels, height, width)).shape == (count, classes)


def test_dropout_acts_in_training_only() -> None:
    net, inputs = WRN((1, 8, 8), 3, depth=10, dropout=0.5), torch.rand(4, 1, 8, 8)
    assert not torch.equal(net(inputs), net(inputs))
    net.eval()
    assert torch.equal(net(inputs), net(inputs))


def test_the_seed_decides() -> None:
    answers = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        answers.append(WRN((1, 8, 8), 3, depth=10, dropout=0.2)(torch.ones(2, 1, 8, 8)))
    assert torch.equal(answers[0], answers[1]) and not torch.equal(answers[0], answers[2])


def test_it_learns_and_a_gradient_reaches_every_parameter(silent: Any, losses: Any) -> None:
    torch.manual_seed(0)
    net = WRN((1, 8, 8), 3, depth=16)
    assert silent(net, (1, 8, 8)) == []
    found = losses(net, (1, 8, 8))
    assert found[-1] < 0.3 * found[0]


def test_the_exported_file_gives_the_same_answers(export: Any) -> None:
    export(WRN((1, 9, 8), 3, depth=10, dropout=0.1), (1, 9, 8), "image")


@pytest.mark.parametrize("shape", [(1, 7, 9), (64,), (8, 8)])
def test_samples_that_do_not_fit_get_a_sentence(shape: tuple[int, ...]) -> None:
    with pytest.raises(ModelError) as caught:
        WRN(shape, 10)
    assert str(caught.value) == (
        f"wrn expects pictures [channels, height, width] of at least 8 x 8 pixels, got samples of shape {list(shape)}."
    )


def test_depths_are_those_of_the_literature() -> None:
    wrong: Any = 20
    with pytest.raises(ModelError, match=r"^wrn expects a depth among 10, 16, 22, 28, 34, 40, got 20\.$"):
        WRN(RGB, 10, depth=wrong)
    with pytest.raises(ValidationError):
        section_of(WRN)(depth=20)


def test_what_a_recipe_may_set() -> None:
    assert section_of(WRN)().model_dump() == {"depth": 16, "width": 1, "dropout": 0.0}
