"""Minimum class confusion on the target (Jin et al. 2020, MCC). Shapes: T rows of the target, C classes."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from limbeck.objectives.base import CLASSIFICATION, Term, promote
from limbeck.objectives.domain_term import is_source
from limbeck.types import Batch, Knowledge, Outputs


def minimum_class_confusion(logits: Tensor, temperature: float) -> Tensor:
    """Return how much the classes are confused in logits [T, C], 0..1; 0 without rows.

    With Y = softmax(z / temperature), rows weighted by `w = T (1 + exp(-H)) / sum (1 + exp(-H))`, H the entropy of a
    row, the confusion is `Y^T diag(w) Y`, its rows divided by their sums; the loss is what lies off the diagonal, over
    C (equations 3 to 7 of the paper, with gradients through w).
    """
    if len(logits) == 0:
        return logits.sum() * 0
    logs = torch.log_softmax(logits / temperature, dim=1)
    chances = logs.exp()
    certain = 1 + torch.exp((chances * logs).sum(1))
    weighted = chances * (len(logits) * certain / certain.sum())[:, None]
    confusion = weighted.T @ chances
    confusion = confusion / confusion.sum(1, keepdim=True).clamp_min(torch.finfo(confusion.dtype).tiny)
    return (confusion.sum() - confusion.diagonal().sum()) / logits.shape[1]


class MinimumClassConfusion(Term):
    """How often the student confuses two classes on the target, as its own answers say; no label is looked at (MCC).

    temperature: above 0, of the student's answers. Samples of a batch are related to each other, so it cannot be taken
    in parts. Published: weight 1, temperature 2.5.
    """

    additive = False
    tasks = CLASSIFICATION

    def __init__(self, temperature: Annotated[float, Field(gt=0)] = 2.5) -> None:
        super().__init__()
        self.temperature = temperature

    def forward(self, student: Outputs, teacher: Knowledge, batch: Batch) -> Tensor:
        """Return the confusion of the batch's target rows, a scalar."""
        return minimum_class_confusion(promote(student.logits)[~is_source(batch)], self.temperature)
