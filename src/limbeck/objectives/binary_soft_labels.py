"""Soft labels of a multi-label task: each class is a question of its own, yes or no."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import Tensor
from torch.nn.functional import logsigmoid

from limbeck.objectives.base import CLASSIFICATION, MULTI_LABEL, Term, promote
from limbeck.objectives.per_sample import PerSample, mean, needs_of, sample_weights
from limbeck.types import Batch, Knowledge, Outputs


def binary_soft_labels(
    logits: Tensor, target: Tensor, temperature: float = 1.0, weights: Tensor | None = None
) -> Tensor:
    """Return `T^2 * KL(Bernoulli(sigmoid(z_t / T)) || Bernoulli(sigmoid(z_s / T)))`, in nats.

    logits: the student's [B, C]; target: the teacher's logits [B, C]; summed over classes, averaged over the batch;
    weights: [B], what each sample's divergence is multiplied by first.
    """
    student, teacher = promote(logits) / temperature, promote(target) / temperature
    yes, no = logsigmoid(teacher), logsigmoid(-teacher)
    each = (yes.exp() * (yes - logsigmoid(student)) + no.exp() * (no - logsigmoid(-student))).sum(dim=1)
    return mean(each, weights) * temperature**2


class BinarySoftLabels(Term):
    """Divergence of yes and no for each class by itself, for models whose answers are sigmoids.

    temperature: what logits are divided by, above 0; per_sample: multiply each sample's loss by the teacher's
    confidence or correctness, see the mathematics. For multi-label tasks, which need teacher and student trained by
    sigmoids. Where a sample has one class alone it can be used, but logits that were trained by a softmax are free to
    shift from row to row, and this term asks the student for the teacher's very shift; take soft_labels there.
    Published weight: none is usual; 1 stands for the loss itself.
    """

    needs = frozenset({"logits"})
    tasks = CLASSIFICATION | MULTI_LABEL

    def __init__(
        self, temperature: Annotated[float, Field(gt=0, le=1000)] = 1.0, per_sample: PerSample | None = None
    ) -> None:
        super().__init__()
        self.temperature = temperature
        self.per_sample = per_sample
        self.needs = needs_of(type(self).needs, per_sample)

    def forward(self, student: Outputs, teacher: Knowledge, batch: Batch) -> Tensor:
        """Return the loss, a scalar of at least 0."""
        assert teacher.logits is not None  # the objective has checked what the teacher provides
        weights = sample_weights(teacher, batch, self.per_sample)
        return binary_soft_labels(student.logits, teacher.logits.detach(), self.temperature, weights)
