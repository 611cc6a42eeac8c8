"""Attention transfer against loops."""

from __future__ import annotations

import pytest
import torch
from tests.objectives.features import Case, check_equals, check_halves, check_parts, check_student_only
from torch import Tensor

from limbeck.errors import ObjectiveError
from limbeck.objectives import AttentionTransfer

SHAPES = ({"s": (3, 4, 2), "u": (6, 2, 2)}, {"t": (5, 4, 2), "w": (4, 2, 2)})


def attention(features: Tensor, power: float) -> Tensor:
    """Return the normalised map of one sample [C, H, W], place by place."""
    places = [
        sum(abs(features[c, y, x]) ** power for c in range(features.shape[0])) / features.shape[0]
        for y in range(features.shape[1])
        for x in range(features.shape[2])
    ]
    found = torch.stack(places)  # type: ignore[arg-type]
    return found / (found**2).sum().sqrt()


def by_hand(case: Case) -> Tensor:
    total = torch.zeros((), dtype=torch.float64)
    for mine, theirs in zip(case.student.values(), case.teacher.values(), strict=True):
        for one, other in zip(mine, theirs.detach(), strict=True):
            power = case.term.power
            total = total + ((attention(one, power) - attention(other, power)) ** 2).mean() / len(mine)  # type: ignore[arg-type]
    return total


@pytest.mark.parametrize("power", [1.0, 2.0, 4.0])
def test_it_equals_the_loop(power: float) -> None:
    check_equals(Case(AttentionTransfer(power=power), *SHAPES, batch=3), by_hand)


def test_the_larger_features_are_averaged_before_their_attention_is_taken() -> None:
    large, small = Case(AttentionTransfer(), {"s": (3, 4, 4)}, {"t": (5, 2, 2)}), None
    small = Case(AttentionTransfer(), {"s": (3, 2, 2)}, {"t": (5, 2, 2)})
    b, c, h, w = large.student["s"].shape
    with torch.no_grad():
        small.student["s"].copy_(large.student["s"].reshape(b, c, h // 2, 2, w // 2, 2).mean((3, 5)))
        small.teacher["t"].copy_(large.teacher["t"])
    torch.testing.assert_close(large.value(), small.value())


def test_the_properties_of_a_term() -> None:
    check_student_only(Case(AttentionTransfer(), *SHAPES))
    check_halves(lambda dtype: Case(AttentionTransfer(), *SHAPES, dtype=dtype))
    check_parts(Case(AttentionTransfer(), *SHAPES))
    case = Case(AttentionTransfer(), *SHAPES)
    assert len(case.value(slice(0, 1)).shape) == 0


def test_it_is_zero_where_both_look_alike_whatever_their_channels() -> None:
    case = Case(AttentionTransfer(), {"s": (4, 3, 3)}, {"t": (2, 3, 3)})
    with torch.no_grad():
        case.teacher["t"].copy_(5 * case.student["s"].square().mean(1, keepdim=True).sqrt().expand(-1, 2, -1, -1))
    torch.testing.assert_close(case.value(), torch.zeros((), dtype=torch.float64), atol=1e-12, rtol=0)


@pytest.mark.parametrize("shapes", [({"s": (4,)}, {"t": (4, 2, 2)}), ({"s": (4,)}, {"t": (4,)})])
def test_vectors_have_no_places_to_look_at(shapes: tuple[dict[str, tuple[int, ...]], ...]) -> None:
    with pytest.raises(ObjectiveError, match="attention_transfer compares places of pictures or tokens, but was given"):
        Case(AttentionTransfer(), *shapes)
