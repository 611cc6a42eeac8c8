"""Cross-entropy with the true labels."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional
from torch.nn.functional import one_hot

from limbeck.objectives.base import CLASSIFICATION, Term, promote
from limbeck.types import Batch, Knowledge, Outputs


def cross_entropy(logits: Tensor, labels: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Return the mean of -log p[label] over the *labelled* rows, in nats; 0 when there are none.

    logits: [B, C]; labels: int64 [B], -1 = withheld; label_smoothing: 0..1, the share of the target that is
    spread evenly over all classes (Szegedy et al. 2016).
    """
    logits = promote(logits)
    total = functional.cross_entropy(logits, labels, ignore_index=-1, label_smoothing=label_smoothing, reduction="sum")
    return total / (labels >= 0).sum().clamp_min(1)


def mixed_cross_entropy(
    logits: Tensor, labels: Tensor, partner_labels: Tensor, share: Tensor, label_smoothing: float = 0.0
) -> Tensor:
    """Return the mean of share * CE(label) + (1 - share) * CE(partner's label), for mixed inputs (mixup).

    share: [B], 0..1. A row is labelled where both labels are there: half a target would teach the wrong mixture.
    """
    logits = promote(logits)
    both = (labels >= 0) & (partner_labels >= 0)
    mine, theirs = (
        functional.cross_entropy(logits, given, ignore_index=-1, label_smoothing=label_smoothing, reduction="none")
        for given in (labels, partner_labels)
    )
    total = (share * mine + (1 - share) * theirs).masked_fill(~both, 0.0).sum()
    return total / both.sum().clamp_min(1)


def labelled(batch: Batch) -> Tensor:
    """Return which rows have a label, bool [B]; where they are mixed, on both sides."""
    if batch.labels is None:
        return torch.zeros(len(batch.inputs), dtype=torch.bool, device=batch.inputs.device)
    known = batch.labels >= 0
    return known if batch.partner_labels is None else known & (batch.partner_labels >= 0)


class CrossEntropy(Term):
    """Cross-entropy of the student's logits with the true labels, mixed where inputs are (mixup).

    label_smoothing: 0..1, 0 is the plain loss.
    """

    unlabelled = False
    tasks = CLASSIFICATION
    aims = True

    def __init__(self, label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0) -> None:
        super().__init__()
        self.label_smoothing = label_smoothing

    def counted(self, teacher: Knowledge, batch: Batch) -> int | Tensor:
        """Return how many rows have a label; where they are mixed, on both sides."""
        return labelled(batch).sum()

    def aim(self, teacher: Knowledge, batch: Batch, classes: int) -> tuple[Tensor, Tensor]:
        """Return the labels as distributions, smoothed and mixed as the loss has them; a row without one counts 0."""
        if batch.labels is None:
            nothing = torch.zeros(len(batch.inputs), device=batch.inputs.device)
            return (nothing[:, None] + 1 / classes).expand(-1, classes), nothing
        known, named = batch.labels >= 0, one_hot(batch.labels.clamp_min(0), classes).float()
        if batch.share is not None and batch.partner_labels is not None:
            known &= batch.partner_labels >= 0
            theirs = one_hot(batch.partner_labels.clamp_min(0), classes).float()
            named = theirs.lerp(named, batch.share[:, None])
        return named * (1 - self.label_smoothing) + self.label_smoothing / classes, known.float()

    def forward(self, student: Outputs, teacher: Knowledge, batch: Batch) -> Tensor:
        """Return the loss, a scalar; 0 when the batch has no labelled row."""
        if batch.labels is None:
            return promote(student.logits).sum() * 0.0
        if batch.share is None or batch.partner_labels is None:
            return cross_entropy(student.logits, batch.labels, self.label_smoothing)
        return mixed_cross_entropy(
            student.logits, batch.labels, batch.partner_labels, batch.share, self.label_smoothing
        )
