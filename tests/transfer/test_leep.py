"""LEEP against its definition, sample by sample."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from limbeck.transfer.leep import leep


def by_hand(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """Return equations 1 and 2 of the paper, in loops."""
    count, theirs = probabilities.shape
    joint = {(y, z): sum(probabilities[i, z] for i in range(count) if labels[i] == y) / count
             for y in set(labels.tolist()) for z in range(theirs)}  # fmt: skip
    marginal = [sum(probabilities[i, z] for i in range(count)) / count for z in range(theirs)]
    total = 0.0
    for i in range(count):
        y = int(labels[i])
        total += math.log(sum(joint[y, z] / marginal[z] * probabilities[i, z] for z in range(theirs)))
    return total / count


@given(st.integers(0, 10_000), st.integers(2, 6), st.integers(2, 4))
def test_it_is_its_definition(seed: int, theirs: int, mine: int) -> None:
    dice = np.random.default_rng(seed)
    probabilities, labels = dice.dirichlet(np.ones(theirs), size=30), dice.integers(0, mine, 30) * 7
    assert leep(probabilities, labels) == pytest.approx(by_hand(probabilities, labels), abs=1e-10)


def test_perfect_answers_give_0_and_empty_ones_the_entropy_of_the_labels() -> None:
    labels = np.array([0, 0, 0, 1])
    assert leep(np.eye(3)[labels + 1], labels) == pytest.approx(0.0, abs=1e-12)
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert leep(np.full((4, 5), 0.2), labels) == pytest.approx(-entropy)


def test_a_class_that_is_never_named_does_no_harm() -> None:
    probabilities = np.array([[0.5, 0.5, 0.0], [0.9, 0.1, 0.0]])
    assert np.isfinite(leep(probabilities, np.array([0, 1])))
