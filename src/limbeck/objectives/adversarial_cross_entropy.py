"""Adversarial training: cross-entropy on inputs that are made to fool the student (Madry et al. 2018)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from torch import Tensor

from limbeck.objectives.adversarial_term import EPSILON, STEP_SIZE, STEPS, AdversarialTerm, Size, Steps
from limbeck.objectives.cross_entropy import CrossEntropy, labelled
from limbeck.types import Batch, Knowledge, Outputs


class AdversarialCrossEntropy(AdversarialTerm):
    """Cross-entropy with the true labels on inputs within epsilon that enlarge it.

    epsilon: the largest change of a pixel, 0..1; step_size: of each step that makes them; steps: how many. They start
    anywhere in the ball. Published on CIFAR-10: epsilon 8/255, step_size 2/255, steps 7 to 10.
    """

    unlabelled = False

    def __init__(self, *, epsilon: Size = EPSILON, step_size: Size = STEP_SIZE, steps: Steps = STEPS) -> None:
        super().__init__(epsilon=epsilon, step_size=step_size, steps=steps)
        self.labels = CrossEntropy()

    def counted(self, teacher: Knowledge, batch: Batch) -> int | Tensor:
        """Return how many rows have a label."""
        return labelled(batch).sum()

    def inner(self, batch: Batch, teacher: Knowledge) -> Callable[[Tensor], Tensor]:
        """Return the cross-entropy of inputs with the batch's labels."""
        return lambda inputs: self._loss(inputs, batch)

    def forward(self, student: Outputs, teacher: Knowledge, batch: Batch) -> Tensor:
        """Return the loss, a scalar; 0 when the batch has no labelled row."""
        return self._loss(self.fool(batch, teacher), batch)

    def _loss(self, inputs: Tensor, batch: Batch) -> Tensor:
        loss: Tensor = self.labels(Outputs(logits=self.ask(inputs)), Knowledge(), replace(batch, inputs=inputs))
        return loss
