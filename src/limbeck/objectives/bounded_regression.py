"""Squared error to the truth, for as long as the student is no better than the teacher.

Chen et al. (2017), "Learning efficient object detection models with knowledge distillation", equation 6.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import Tensor

from limbeck.objectives.base import REGRESSION, promote
from limbeck.objectives.label_term import LabelTerm
from limbeck.objectives.squared_error import squared_error
from limbeck.types import Knowledge


def bounded_regression(answers: Tensor, target: Tensor, bound: Tensor, margin: float = 0.0) -> Tensor:
    """Return `||s - y||^2` of each row [B] where `||s - y||^2 + margin > ||t - y||^2`, and 0 elsewhere.

    answers, target, bound: the student's s, the true y and the teacher's t, [B, C] each.
    """
    mine, theirs = squared_error(answers, target), squared_error(bound, target)
    return mine.masked_fill(mine + margin <= theirs, 0.0)


class BoundedRegression(LabelTerm):
    """Squared distance to the true values of the samples on which the student does not beat the teacher by the margin.

    The teacher's values are a bound, not a target: where it is far off, it teaches nothing wrong. margin: by how much
    the student's squared error must be lower, 0 or more, on the scale of training, where the values have deviation 1.
    Published weight: 0.5, beside the regression loss itself.
    """

    needs = frozenset({"logits"})
    tasks = REGRESSION

    def __init__(self, margin: Annotated[float, Field(ge=0)] = 0.0) -> None:
        super().__init__()
        self.margin = margin

    def losses(self, answers: Tensor, labels: Tensor, teacher: Knowledge) -> Tensor:
        """Return the loss of each row [B]."""
        assert teacher.logits is not None  # the objective has checked what the teacher provides
        return bounded_regression(answers, labels, promote(teacher.logits.detach()), self.margin)
