"""Regression on the teacher's logits (Ba & Caruana 2014, equation 1)."""

from __future__ import annotations

from torch import Tensor

from limbeck.objectives.base import Term, promote
from limbeck.objectives.per_sample import PerSample, mean, needs_of, sample_weights
from limbeck.types import Batch, Knowledge, Outputs


def logit_matching(logits: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
    """Return the mean over the batch of `||z_s - z_t||^2 / 2`, times the sample's weight; [B, C], weights [B]."""
    return mean((promote(logits) - promote(target)).square().sum(dim=1), weights) / 2


class LogitMatching(Term):
    """Half the squared distance between the student's and the teacher's logits.

    per_sample: multiply each sample's loss by the teacher's confidence or correctness, see the mathematics.
    """

    needs = frozenset({"logits"})

    def __init__(self, per_sample: PerSample | None = None) -> None:
        super().__init__()
        self.per_sample = per_sample
        self.needs = needs_of(type(self).needs, per_sample)

    def forward(self, student: Outputs, teacher: Knowledge, batch: Batch) -> Tensor:
        """Return the loss, a scalar."""
        assert teacher.logits is not None  # the objective has checked what the teacher provides
        weights = sample_weights(teacher, batch, self.per_sample)
        return logit_matching(student.logits, teacher.logits.detach(), weights)
