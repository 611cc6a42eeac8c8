"""TRADES: accuracy on the samples, and the same answer around them (Zhang et al. 2019)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from limbeck.objectives.adversarial_term import EPSILON, STEP_SIZE, STEPS, AdversarialTerm, Size, Start, Steps
from limbeck.objectives.base import promote
from limbeck.objectives.cross_entropy import CrossEntropy, labelled
from limbeck.objectives.soft_labels import divergence
from limbeck.types import Batch, Knowledge, Outputs


def steadiness(logits: Tensor, fooled: Tensor, counted: Tensor) -> Tensor:
    """Return `KL(p(x) || p(x'))`, the mean over the rows that count, in nats; gradients go through both sides.

    logits: for the samples [B, C]; fooled: for the inputs made of them [B, C]; counted: bool [B].
    """
    logs, others = (torch.log_softmax(promote(one), dim=1) for one in (logits, fooled))
    return divergence(others, logs, counted) / counted.sum().clamp_min(1)


class Trades(AdversarialTerm):
    """`CE(z(x), y) + beta KL(p(x) || p(x'))` of the student alone, where x' is made to enlarge the divergence.

    beta: of the divergence, 0 or more; epsilon: the largest change of a pixel, 0..1; step_size: of each step that makes
    x'; steps: how many. They start at x with a little noise, since the divergence has no slope at x itself. Both parts
    are means over the labelled rows. Published: beta 6, epsilon 8/255, step_size 2/255 (0.007), steps 10.
    """

    unlabelled = False
    start: Start = "near"

    def __init__(
        self,
        *,
        beta: Annotated[float, Field(ge=0)] = 6.0,
        epsilon: Size = EPSILON,
        step_size: Size = STEP_SIZE,
        steps: Steps = STEPS,
    ) -> None:
        super().__init__(epsilon=epsilon, step_size=step_size, steps=steps)
        self.beta = beta
        self.labels = CrossEntropy()

    def counted(self, teacher: Knowledge, batch: Batch) -> int | Tensor:
        """Return how many rows have a label."""
        return labelled(batch).sum()

    def inner(self, batch: Batch, teacher: Knowledge) -> Callable[[Tensor], Tensor]:
        """Return the divergence from the student's answers to the batch, which stay as they are."""
        with torch.no_grad():
            said = self.ask(batch.inputs)
        return lambda inputs: steadiness(said, self.ask(inputs), torch.ones_like(said[:, 0], dtype=torch.bool))

    def forward(self, student: Outputs, teacher: Knowledge, batch: Batch) -> Tensor:
        """Return the loss, a scalar; 0 when the batch has no labelled row."""
        fooled = self.ask(self.fool(batch, teacher))
        labels: Tensor = self.labels(student, teacher, batch)
        return labels + self.beta * steadiness(student.logits, fooled, labelled(batch))
