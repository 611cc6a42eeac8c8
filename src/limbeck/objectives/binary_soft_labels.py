"""Soft labels of a multi-label task: each class is a question of its own, yes or no."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import Tensor
from torch.nn.functional import logsigmoid

from limbeck.objectives.base import CLASSIFICATION, MULTI_LABEL, Term, promote
from limbeck.types import Batch, Knowledge, Outputs


def binary_soft_labels(logits: Tensor, target: Tensor, temperature: float = 1.0) -> Tensor:
    """Return `T^2 * KL(Bernoulli(sigmoid(z_t / T)) || Bernoulli(sigmoid(z_s / T)))`, in nats.

    logits: the student's [B, C]; target: the teacher's logits [B, C]; summed over classes, averaged over the batch.
    """
    student, teacher = promote(logits) / temperature, promote(target) / temperature
    yes, no = logsigmoid(teacher), logsigmoid(-teacher)
    divergence = yes.exp() * (yes - logsigmoid(student)) + no.exp() * (no - logsigmoid(-student))
    return divergence.sum() * (temperature**2 / len(logits))


class BinarySoftLabels(Term):
    """Divergence of yes and no for each class by itself, for models whose answers are sigmoids.

    temperature: what logits are divided by, above 0. For multi-label tasks, which need teacher and student trained by
    sigmoids. Where a sample has one class alone it can be used, but logits that were trained by a softmax are free to
    shift from row to row, and this term asks the student for the teacher's very shift; take soft_labels there.
    Published weight: none is usual; 1 stands for the loss itself.
    """

    needs = frozenset({"logits"})
    tasks = CLASSIFICATION | MULTI_LABEL

    def __init__(self, temperature: Annotated[float, Field(gt=0, le=1000)] = 1.0) -> None:
        super().__init__()
        self.temperature = temperature

    def forward(self, student: Outputs, teacher: Knowledge, batch: Batch) -> Tensor:
        """Return the loss, a scalar of at least 0."""
        assert teacher.logits is not None  # the objective has checked what the teacher provides
        return binary_soft_labels(student.logits, teacher.logits.detach(), self.temperature)
