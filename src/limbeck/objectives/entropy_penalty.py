"""Entropy of the student's own distribution, as a term of the loss."""

from __future__ import annotations

import torch
from torch import Tensor

from limbeck.objectives.base import CLASSIFICATION, Term, promote
from limbeck.types import Batch, Knowledge, Outputs


def entropy(logits: Tensor) -> Tensor:
    """Return the mean over the batch of `-sum_c p log p` at temperature 1, in nats; logits [B, C]."""
    logs = torch.log_softmax(promote(logits), dim=1)
    return -(logs.exp() * logs).sum(dim=1).mean()


class EntropyPenalty(Term):
    """Mean entropy of the student's predictions.

    A positive weight sharpens them (entropy minimisation, Grandvalet & Bengio 2004); a negative weight is
    a confidence penalty (Pereyra et al. 2017).
    """

    tasks = CLASSIFICATION

    def forward(self, student: Outputs, teacher: Knowledge, batch: Batch) -> Tensor:
        """Return the entropy, a scalar in 0..log C."""
        return entropy(student.logits)
