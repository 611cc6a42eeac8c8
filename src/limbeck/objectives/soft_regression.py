"""Squared error to the teacher's values (Chen et al. 2017, "Learning efficient object detection models ...")."""

from __future__ import annotations

from torch import Tensor

from limbeck.objectives.base import REGRESSION, Term, promote
from limbeck.objectives.squared_error import squared_error
from limbeck.types import Batch, Knowledge, Outputs


class SoftRegression(Term):
    """Squared distance between the student's values and the teacher's, averaged over the batch.

    It also learns from samples without a label. Published weight: none is usual; 1 stands for the loss itself.
    """

    needs = frozenset({"logits"})
    tasks = REGRESSION

    def forward(self, student: Outputs, teacher: Knowledge, batch: Batch) -> Tensor:
        """Return the loss, a scalar of at least 0."""
        assert teacher.logits is not None  # the objective has checked what the teacher provides
        return squared_error(promote(student.logits), promote(teacher.logits.detach())).mean()
