"""Neuron selectivity against a loop over pairs of channels."""

from __future__ import annotations

import pytest
import torch
from tests.objectives.features import Case, check_equals, check_halves, check_parts, check_student_only
from torch import Tensor

from limbeck.errors import ObjectiveError
from limbeck.objectives import NeuronSelectivity

SHAPES = ({"s": (3, 2, 3)}, {"t": (4, 2, 3)})


def by_hand(case: Case) -> Tensor:
    total = torch.zeros((), dtype=torch.float64)
    for mine, theirs in zip(case.student["s"], case.teacher["t"].detach(), strict=True):
        a, b = ([channel.flatten() / channel.norm() for channel in one] for one in (mine, theirs))
        for left, right, sign in ((a, a, 1), (a, b, -2), (b, b, 1)):
            pairs = [(x * y).sum() ** 2 for x in left for y in right]
            total = total + sign * sum(pairs) / len(pairs)
    return total / len(case.rows)


def test_it_equals_the_loop() -> None:
    check_equals(Case(NeuronSelectivity(), *SHAPES, batch=4), by_hand)


def test_the_properties_of_a_term() -> None:
    check_student_only(Case(NeuronSelectivity(), *SHAPES))
    check_halves(lambda dtype: Case(NeuronSelectivity(), *SHAPES, dtype=dtype))
    check_parts(Case(NeuronSelectivity(), *SHAPES))


def test_channels_are_a_set() -> None:
    case = Case(NeuronSelectivity(), {"s": (4, 3, 3)}, {"t": (4, 3, 3)})
    assert float(case.value().detach()) > 0.01
    with torch.no_grad():
        case.teacher["t"].copy_(3 * case.student["s"].flip(1))
    assert float(case.value().detach()) == pytest.approx(0, abs=1e-12)


def test_a_silent_channel_gives_no_nan() -> None:
    case = Case(NeuronSelectivity(), *SHAPES, dtype=torch.float32)
    with torch.no_grad():
        case.student["s"][:, 0] = 0
    value = case.value()
    assert bool(torch.isfinite(value)) and bool(torch.isfinite(case.gradients(value)[0]).all())


def test_auto_takes_the_last_stage_and_vectors_are_refused() -> None:
    case = Case(NeuronSelectivity(), {"a": (2, 4, 4), "b": (3, 2, 2), "v": (3,)}, {"t": (4, 4, 4), "u": (5, 2, 2)})
    assert [(pair.student, pair.teacher) for pair in case.term.pairs] == [("b", "u")]
    with pytest.raises(ObjectiveError, match="neuron_selectivity compares places"):
        Case(NeuronSelectivity(), {"s": (4,)}, {"t": (4,)})
