"""Terms that learn from values and from several labels at once, in cases worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

import limbeck
from limbeck.errors import ObjectiveError
from limbeck.objectives import (
    BinaryCrossEntropy,
    BinarySoftLabels,
    BoundedRegression,
    CrossEntropy,
    Hint,
    SoftRegression,
    SquaredError,
)
from limbeck.objectives.binary_cross_entropy import binary_cross_entropy
from limbeck.objectives.bounded_regression import bounded_regression
from limbeck.objectives.objective import Objective

Y = torch.tensor([[0.0], [0.0], [0.0]])


def test_the_bound_is_the_teachers_error_and_the_target_is_the_truth() -> None:
    """A student at 2 with a teacher at 3 is better than it, and is left alone; nothing pulls it to the teacher."""
    student = torch.tensor([[2.0], [2.0], [2.0]], requires_grad=True)
    teacher = torch.tensor([[3.0], [1.0], [2.0]])
    losses = bounded_regression(student, Y, teacher)
    assert losses.tolist() == [0.0, 4.0, 0.0], "equal errors are no longer worse"
    losses.sum().backward()
    assert student.grad is not None and student.grad.squeeze().tolist() == [0.0, 4.0, 0.0], "towards 0, not towards 1"


@pytest.mark.parametrize(("margin", "loss"), [(0.0, 0.0), (4.9, 0.0), (5.1, 4.0)])
def test_the_margin_asks_for_more_than_the_teacher(margin: float, loss: float) -> None:
    """Errors of 4 and 9: by 5 the student is better."""
    assert bounded_regression(torch.tensor([[2.0]]), Y[:1], torch.tensor([[3.0]]), margin).item() == loss


def test_labels_are_a_question_each() -> None:
    losses = binary_cross_entropy(
        torch.tensor([[0.0, 0.0], [math.log(3), 0.0]]), torch.tensor([[1.0, 0.0], [1.0, 1.0]])
    )
    assert losses.tolist() == pytest.approx([2 * math.log(2), math.log(4 / 3) + math.log(2)])


def test_rows_without_a_label_count_for_nothing() -> None:
    term = SquaredError()
    labels = torch.tensor([[1.0, 1.0], [math.nan, math.nan]])
    batch = limbeck.Batch(torch.zeros(2, 3), labels)
    assert term.counted(limbeck.Knowledge(), batch) == 1
    assert term(limbeck.Outputs(torch.zeros(2, 2)), limbeck.Knowledge(), batch).item() == 2.0


@pytest.mark.parametrize(
    ("objective", "label", "control"),
    [
        (Objective([(0.9, SoftRegression()), (0.1, SquaredError())]), SquaredError, "1 squared_error"),
        (Objective([(0.5, BoundedRegression())]), SquaredError, "1 squared_error"),
        (Objective([(0.9, BinarySoftLabels())]), BinaryCrossEntropy, "1 binary_cross_entropy"),
    ],
)
def test_a_control_learns_by_the_label_term(objective: Objective, label: type, control: str) -> None:
    assert objective.control(label=label).describe() == control


@pytest.mark.parametrize(
    ("term", "task", "fitting"),
    [
        (CrossEntropy(), "regression", "bounded_regression, logit_matching, soft_regression, squared_error"),
        (SquaredError(), "multi_label", "binary_cross_entropy, binary_soft_labels, logit_matching"),
        (BinaryCrossEntropy(), "classification", "soft_labels"),
    ],
)
def test_a_term_that_does_not_fit_is_refused_with_those_that_do(term: limbeck.Term, task: str, fitting: str) -> None:
    with pytest.raises(ObjectiveError, match=f"is for .*, but data.task is {task}. Terms that fit: ") as caught:
        Objective([(1.0, Hint()), (1.0, term)]).check_task(task)  # type: ignore[arg-type]
    assert set(fitting.split(", ")) <= set(str(caught.value).partition("fit: ")[2].split(", "))
    Objective([(1.0, Hint())]).check_task(task)  # type: ignore[arg-type]
