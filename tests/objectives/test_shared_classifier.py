"""The mean squared error of vectors before the classifier, against a numpy loop."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.objectives.features import Case, check_equals, check_halves, check_parts, check_student_only
from torch import Tensor

from limbeck.errors import ObjectiveError
from limbeck.objectives import CrossEntropy, Hint, SharedClassifier
from limbeck.objectives.objective import Objective

VECTORS = ({"early": (3, 2, 2), "s": (4,)}, {"first": (7,), "t": (4,)})


def by_hand(case: Case) -> Tensor:
    """Return the mean over samples and channels of the squared error, one number at a time."""
    student, teacher = list(case.student.values())[-1], list(case.teacher.values())[-1].detach()
    places = list(np.ndindex(*teacher.shape[2:]))
    total = torch.zeros((), dtype=torch.float64)
    for sample in range(len(student)):
        for channel in range(student.shape[1]):
            wanted = sum(teacher[(sample, channel, *place)] for place in places) / len(places)
            total = total + (student[sample, channel] - wanted) ** 2
    return total / student.numel()


@pytest.mark.parametrize("shape", [(4,), (4, 1, 1), (4, 3, 2)], ids=["vector", "pooled picture", "picture"])
def test_it_equals_the_loop(shape: tuple[int, ...]) -> None:
    check_equals(Case(SharedClassifier(), VECTORS[0], {"first": (7,), "t": shape}, batch=3), by_hand)


def test_tokens_are_averaged() -> None:
    case = Case(SharedClassifier(), {"s": (4,)}, {"t": (6, 4)})
    torch.testing.assert_close(case.value(), (case.student["s"] - case.teacher["t"].mean(1)).square().mean())


def test_the_properties_of_a_term() -> None:
    check_student_only(Case(SharedClassifier(), *VECTORS))
    check_halves(lambda dtype: Case(SharedClassifier(), *VECTORS, dtype=dtype))
    check_parts(Case(SharedClassifier(), *VECTORS))


@pytest.mark.parametrize("shape", [(5,), (4, 1, 1), (2, 4)])
def test_other_widths_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ObjectiveError, match=r"shared_classifier compares vectors of one width, but was given s \["):
        Case(SharedClassifier(), {"s": shape}, {"t": (4,)})


def test_the_objective_knows_that_it_wants_the_classifier() -> None:
    assert Objective([(1.0, Hint()), (1.0, SharedClassifier())]).shared_classifier is not None
    assert Objective([(1.0, Hint()), (1.0, CrossEntropy())]).shared_classifier is None
    assert Objective([(1.0, SharedClassifier())]).control().describe() == "1 cross_entropy(label_smoothing=0.0)"


def test_one_pair_may_be_named_and_no_more() -> None:
    case = Case(SharedClassifier(("s:first",)), {"s": (7,)}, VECTORS[1])
    torch.testing.assert_close(case.value(), (case.student["s"] - case.teacher["first"]).square().mean())
    with pytest.raises(ObjectiveError, match="shared_classifier compares one pair of layers, got 2"):
        SharedClassifier(("a:b", "c:d"))
