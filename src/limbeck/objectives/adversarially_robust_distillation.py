"""ARD: the teacher's answer to the sample, given for inputs that fool the student (Goldblum et al. 2020)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from limbeck.objectives.adversarial_term import EPSILON, STEP_SIZE, STEPS, AdversarialTerm, Size, Steps
from limbeck.objectives.base import log_softened, top_class
from limbeck.objectives.cross_entropy import cross_entropy
from limbeck.objectives.soft_labels import soft_labels
from limbeck.types import Batch, Knowledge, Outputs


class AdversariallyRobustDistillation(AdversarialTerm):
    """`(1 - alpha) CE(z(x), y) + alpha T^2 KL(p_teacher^T(x) || p^T(x'))`, where x' is made to enlarge CE(z(x'), y).

    temperature: T, what logits are divided by, above 0; alpha: share of the teacher's answer, 0..1; epsilon: the
    largest change of a pixel, 0..1; step_size: of each step that makes x'; steps: how many. They start anywhere in the
    ball. A row without a label takes the teacher's top class for it. Published on CIFAR-10: temperature 30, alpha 1,
    epsilon 8/255, step_size 2/255, steps 10.
    """

    needs = frozenset({"probs"})

    def __init__(
        self,
        *,
        temperature: Annotated[float, Field(gt=0, le=1000)] = 30.0,
        alpha: Annotated[float, Field(ge=0, le=1)] = 1.0,
        epsilon: Size = EPSILON,
        step_size: Size = STEP_SIZE,
        steps: Steps = STEPS,
    ) -> None:
        super().__init__(epsilon=epsilon, step_size=step_size, steps=steps)
        self.temperature, self.alpha = temperature, alpha

    def inner(self, batch: Batch, teacher: Knowledge) -> Callable[[Tensor], Tensor]:
        """Return the cross-entropy of inputs with the labels."""
        labels = labels_or_top(batch, teacher)
        return lambda inputs: cross_entropy(self.ask(inputs), labels)

    def forward(self, student: Outputs, teacher: Knowledge, batch: Batch) -> Tensor:
        """Return the loss, a scalar."""
        target = log_softened(teacher, self.temperature).detach()
        loss = self.alpha * soft_labels(self.ask(self.fool(batch, teacher)), target, self.temperature)
        if self.alpha == 1:
            return loss
        return loss + (1 - self.alpha) * cross_entropy(student.logits, labels_or_top(batch, teacher))


def labels_or_top(batch: Batch, teacher: Knowledge) -> Tensor:
    """Return the labels, the teacher's top class where one is withheld, int64 [B]."""
    top = top_class(teacher)
    return top if batch.labels is None else torch.where(batch.labels >= 0, batch.labels, top)
