"""Soft labels taken apart: the target class against the others, and the others among themselves (Zhao et al. 2022)."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from limbeck.objectives.base import CLASSIFICATION, Term, log_softened, promote
from limbeck.objectives.per_sample import PerSample, needs_of, sample_weights
from limbeck.objectives.soft_labels import divergence
from limbeck.types import Batch, Knowledge, Outputs


def decoupled_soft_labels(
    logits: Tensor,
    log_target: Tensor,
    classes: Tensor,
    temperature: float,
    target: float = 1.0,
    others: float = 8.0,
    weights: Tensor | None = None,
) -> Tensor:
    """Return `T^2 * (target * KL(b_t || b_s) + others * KL(q_t || q_s))`, averaged over the batch, in nats.

    logits: the student's [B, C]; log_target: the teacher's log probabilities at T [B, C]; classes: int64 [B], each
    row's target y. b is (p_y, 1 - p_y); q is the distribution over the C - 1 other classes, each at temperature T.
    With target = 1 and others = 1 - p_t[y] this is `soft_labels` of that row. weights: [B], as there.
    """
    log_student = torch.log_softmax(promote(logits) / temperature, dim=1)
    binary = divergence(_binary(log_student, classes), _binary(log_target, classes), weights)
    among = divergence(_among_others(log_student, classes), _among_others(log_target, classes), weights)
    return (target * binary + others * among) * (temperature**2 / len(logits))


def _others(logs: Tensor, classes: Tensor) -> Tensor:
    """Return the columns of logs [B, C] without each row's own class, [B, C - 1]."""
    places = torch.arange(logs.shape[1] - 1, device=logs.device).expand(len(logs), -1)
    return logs.gather(1, places + (places >= classes[:, None]))


def _binary(logs: Tensor, classes: Tensor) -> Tensor:
    """Return the log probabilities of each row's own class and of all others together, [B, 2]."""
    return torch.cat([logs.gather(1, classes[:, None]), _others(logs, classes).logsumexp(1, keepdim=True)], dim=1)


def _among_others(logs: Tensor, classes: Tensor) -> Tensor:
    return torch.log_softmax(_others(logs, classes), dim=1)


def target_classes(log_target: Tensor, batch: Batch) -> Tensor:
    """Return each row's target, int64 [B]: its label, where it has none the teacher's top class.

    A mixed row (mixup) counts as the sample that has the larger share in it.
    """
    guessed = log_target.argmax(dim=1)
    labels = batch.labels
    if labels is not None and batch.partner_labels is not None and batch.share is not None:
        labels = torch.where(batch.share >= 0.5, labels, batch.partner_labels)
    return guessed if labels is None else torch.where(labels >= 0, labels, guessed)


class DecoupledSoftLabels(Term):
    """Soft labels in two parts: how sure the teacher is of the target class, and how it ranks the others.

    temperature: what logits are divided by, above 0; target: weight of the first part; others: weight of the second
    part, which soft labels hide where the teacher is sure of itself; per_sample: multiply each sample's loss by the
    teacher's confidence or correctness, see the mathematics. A row without a label takes the teacher's top
    class as its target. Published (Zhao et al. 2022, DKD): weight 1, brought up from 0 over 20 epochs, beside
    cross-entropy 1 on CIFAR-100 at T 4, with others 2, 6 or 8 by pair of teacher and student.
    """

    needs = frozenset({"probs"})
    tasks = CLASSIFICATION

    def __init__(
        self,
        temperature: Annotated[float, Field(gt=0, le=1000)] = 4.0,
        target: Annotated[float, Field(ge=0)] = 1.0,
        others: Annotated[float, Field(ge=0)] = 8.0,
        per_sample: PerSample | None = None,
    ) -> None:
        super().__init__()
        self.temperature = temperature
        self.target = target
        self.others = others
        self.per_sample = per_sample
        self.needs = needs_of(type(self).needs, per_sample)

    def forward(self, student: Outputs, teacher: Knowledge, batch: Batch) -> Tensor:
        """Return the loss, a scalar."""
        log_target = log_softened(teacher, self.temperature).detach()
        classes = target_classes(log_target, batch)
        weights = sample_weights(teacher, batch, self.per_sample)
        return decoupled_soft_labels(
            student.logits, log_target, classes, self.temperature, self.target, self.others, weights
        )
