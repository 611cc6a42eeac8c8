"""Regression on the teacher's logits (Ba & Caruana 2014, equation 1)."""

from __future__ import annotations

from torch import Tensor

from limbeck.objectives.base import Term, promote
from limbeck.types import Batch, Knowledge, Outputs


def logit_matching(logits: Tensor, target: Tensor) -> Tensor:
    """Return the mean over the batch of `||z_s - z_t||^2 / 2`; both [B, C]."""
    return (promote(logits) - promote(target)).square().sum(dim=1).mean() / 2


class LogitMatching(Term):
    """Half the squared distance between the student's and the teacher's logits."""

    needs = frozenset({"logits"})

    def forward(self, student: Outputs, teacher: Knowledge, batch: Batch) -> Tensor:
        """Return the loss, a scalar."""
        assert teacher.logits is not None  # the objective has checked what the teacher provides
        return logit_matching(student.logits, teacher.logits.detach())
