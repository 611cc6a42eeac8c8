"""Several teachers as one: the arithmetic against slow loops, and who may be in it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from limbeck.errors import ObjectiveError
from limbeck.objectives import Hint, LogitMatching, SoftLabels
from limbeck.objectives.objective import Objective
from limbeck.teachers.base import Teacher
from limbeck.teachers.ensemble import Combination, EnsembleTeacher, combined, shares
from limbeck.types import Batch, Knowledge

KINDS = [
    Combination(combine, weights)
    for combine in ("probabilities", "logits")
    for weights in ("equal", (1.0, 2.0, 5.0), "confidence", "agreement")
]


class Fixed(Teacher):
    """Says the same to every question."""

    def __init__(self, logits: Tensor, provides: frozenset[str] = frozenset({"logits", "probs", "labels"})) -> None:
        self.logits, self.provides, self.classes = logits, provides, logits.shape[1]
        self.fingerprint = str(logits.sum())

    def current_fingerprint(self) -> str:
        return str(self.logits.sum())

    def __call__(self, batch: Batch) -> Knowledge:
        self.asked += len(batch.inputs)
        return Knowledge(logits=self.logits)


def slow(logits: np.ndarray, combination: Combination) -> np.ndarray:
    """Return the probabilities [B, C] of an ensemble, sample by sample, as the docstrings define them."""
    teachers, samples, classes = logits.shape
    found = np.zeros((samples, classes))
    for sample in range(samples):
        rows = [np.exp(row - row.max()) / np.exp(row - row.max()).sum() for row in logits[:, sample]]
        if combination.weights == "confidence":
            entropies = [-sum(p * math.log(p) for p in row if p > 0) for row in rows]
            weights = [1 / math.exp(entropy) for entropy in entropies]
        elif combination.weights == "agreement":
            tops = [int(np.argmax(row)) for row in rows]
            weights = [float(tops.count(top)) for top in tops]
        else:
            weights = [1.0] * teachers if combination.weights == "equal" else list(combination.weights)
        weights = [weight / sum(weights) for weight in weights]
        if combination.combine == "probabilities":
            found[sample] = sum(weight * row for weight, row in zip(weights, rows, strict=True))
        else:
            mean = sum(weight * row for weight, row in zip(weights, logits[:, sample], strict=True))
            found[sample] = np.exp(mean - mean.max()) / np.exp(mean - mean.max()).sum()
    return found


@pytest.mark.parametrize("combination", KINDS, ids=str)
@given(seed=st.integers(0, 10**6), scale=st.floats(0.01, 20))
def test_combined_is_what_it_is_defined_as(combination: Combination, seed: int, scale: float) -> None:
    logits = scale * torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(seed))
    found = torch.softmax(combined(logits, combination), dim=1)
    np.testing.assert_allclose(found.numpy(), slow(logits.double().numpy(), combination), atol=2e-5)


@pytest.mark.parametrize("weights", ["equal", "confidence", "agreement", (3.0, 1.0, 1.0)])
@given(seed=st.integers(0, 10**6))
def test_shares_sum_to_one(weights: Any, seed: int) -> None:
    logits = 5 * torch.randn(3, 6, 4, generator=torch.Generator().manual_seed(seed))
    found = shares(torch.log_softmax(logits, dim=2), weights)
    assert found.shape == (3, 6) and bool((found > 0).all())
    torch.testing.assert_close(found.sum(dim=0), torch.ones(6))


def test_a_sure_teacher_counts_more_and_one_alone_less() -> None:
    sure, torn, other = [9.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0], [0.0, 4.0, 0.0, 0.0]
    logs = torch.log_softmax(torch.tensor([[sure], [torn]]), dim=2)
    first, _ = shares(logs, "confidence")[:, 0].tolist()
    assert first == pytest.approx(0.8, abs=0.01), "one class against four that it hesitates among"
    logs = torch.log_softmax(torch.tensor([[sure], [sure], [other]]), dim=2)
    assert shares(logs, "agreement")[:, 0].tolist() == pytest.approx([0.4, 0.4, 0.2])


def test_a_class_that_one_teacher_rules_out_is_no_trouble() -> None:
    logits = torch.tensor([[[0.0, -math.inf]], [[0.0, 0.0]]])
    for weights in ("equal", "confidence", "agreement"):
        found = combined(logits, Combination("probabilities", weights))
        assert bool(torch.isfinite(found).all()), weights


def test_equal_teachers_say_what_each_of_them_says() -> None:
    logits = torch.randn(4, 3)
    for combination in KINDS:
        found = combined(torch.stack([logits] * 3), combination)
        torch.testing.assert_close(torch.softmax(found, 1), torch.softmax(logits, 1))


def ensemble(combination: Combination = Combination(), **members: Teacher) -> EnsembleTeacher:
    return EnsembleTeacher(members or {"a": Fixed(torch.eye(3)), "b": Fixed(torch.ones(3, 3))}, combination)


def test_what_an_ensemble_provides() -> None:
    assert ensemble().provides == {"probs", "labels"}
    assert ensemble(Combination("logits")).provides == {"logits", "probs", "labels"}
    Objective([(1.0, SoftLabels())]).check(ensemble().provides)
    with pytest.raises(ObjectiveError, match="logit_matching needs logits from the teacher, which gives labels and"):
        Objective([(1.0, LogitMatching())]).check(ensemble().provides)
    with pytest.raises(ObjectiveError, match="hint needs features from the teacher.*Terms that would work: "):
        Objective([(1.0, Hint())]).check(ensemble(Combination("logits")).provides)


def test_a_question_counts_once_for_each_sample() -> None:
    teacher = ensemble()
    teacher(Batch(torch.zeros(3, 2)))
    assert teacher.asked == 3
    assert [one.asked for one in teacher.members] == [3, 3]


def test_fingerprint_says_who_answers_and_how() -> None:
    first, second = Fixed(torch.eye(3)), Fixed(torch.ones(3, 3))
    found = {
        ensemble(Combination(), a=first, b=second).fingerprint,
        ensemble(Combination("logits"), a=first, b=second).fingerprint,
        ensemble(Combination(weights="confidence"), a=first, b=second).fingerprint,
        ensemble(Combination(weights=(1.0, 2.0)), a=first, b=second).fingerprint,
        ensemble(Combination(), a=second, b=first).fingerprint,
    }
    assert len(found) == 5
    teacher = ensemble(Combination(), a=first, b=second)
    first.logits = torch.zeros(3, 3)
    assert teacher.current_fingerprint() != teacher.fingerprint


@pytest.mark.parametrize(
    ("provides", "combination", "said"),
    [
        ({"labels"}, Combination(), "The teacher b of the ensemble names a class and says no more, but an ensemble"),
        ({"probs", "labels"}, Combination("logits"), "The teacher b .* gives probabilities, not logits; say combine"),
        ({"logits", "probs"}, Combination(weights=(1.0, 1.0, 1.0)), "weights has 3 values for 2 teachers"),
    ],
)
def test_teachers_that_cannot_be_averaged(provides: set[str], combination: Combination, said: str) -> None:
    with pytest.raises(ObjectiveError, match=said):
        ensemble(combination, a=Fixed(torch.eye(3)), b=Fixed(torch.eye(3), frozenset(provides)))
