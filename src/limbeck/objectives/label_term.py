"""What terms have in common that learn from labels which are no classes: values, or several labels at once.

Shapes: B samples, C values or labels of each.
"""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor

from limbeck.objectives.base import Term, promote
from limbeck.types import Batch, Knowledge, Outputs, known


class LabelTerm(Term):
    """A mean over the labelled rows of a batch; a row whose labels are withheld (NaN) counts for nothing."""

    unlabelled = False

    def counted(self, teacher: Knowledge, batch: Batch) -> int | Tensor:
        """Return how many rows have a label."""
        return 0 if batch.labels is None else known(batch.labels).sum()

    def forward(self, student: Outputs, teacher: Knowledge, batch: Batch) -> Tensor:
        """Return the loss, a scalar; 0 when the batch has no labelled row."""
        answers = promote(student.logits)
        if batch.labels is None:
            return answers.sum() * 0.0
        there = known(batch.labels)
        losses = self.losses(answers, batch.labels.nan_to_num(0.0), teacher)
        return losses.masked_fill(~there, 0.0).sum() / there.sum().clamp_min(1)

    @abstractmethod
    def losses(self, answers: Tensor, labels: Tensor, teacher: Knowledge) -> Tensor:
        """Return the loss of each row [B]; answers: the student's [B, C]; labels: [B, C], 0 where withheld."""
