"""Soft labels at a temperature that is learned against the student, ever more strongly (Li et al. 2023, CTKD)."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from limbeck.errors import ObjectiveError
from limbeck.objectives.base import CLASSIFICATION, Term, log_softened
from limbeck.objectives.soft_labels import soft_labels
from limbeck.types import Batch, Knowledge, Outputs


def reversal(epoch: float, ramp: float) -> float:
    """Return how strongly the gradient is reversed after this many epochs: `(1 - cos(pi min(epoch / ramp, 1))) / 2`."""
    return (1 - math.cos(math.pi * min(epoch / ramp, 1.0))) / 2


def reversed_gradient(value: Tensor, strength: float) -> Tensor:
    """Return the value itself, whose gradient is multiplied by -strength (Ganin & Lempitsky 2015)."""
    return value.detach() - strength * (value - value.detach())


class CurriculumSoftLabels(Term):
    """Soft labels whose temperature is learned by making the loss larger, not smaller: harder lessons as time goes on.

    lowest: the temperature is above it; highest: and below this, lowest + (highest - lowest) sigmoid(theta), theta 1 at
    first; ramp: epochs over which the reversal of theta's gradient grows from none to all of it, along a cosine. It is
    trained by the student's optimizer and no part of what ships. It needs all logits or probabilities, since what is
    kept of the top K is summed at listed temperatures alone. Where nobody says how far training is, the reversal is
    complete. Published (Li et al. 2023, one temperature for all samples): weight 0.9 beside cross-entropy 0.1, between
    1 and 21, ramp 10 of 240 epochs.
    """

    needs = frozenset({"probs"})
    tasks = CLASSIFICATION

    def __init__(
        self,
        lowest: Annotated[float, Field(gt=0, le=1000)] = 1.0,
        highest: Annotated[float, Field(gt=0, le=1000)] = 21.0,
        ramp: Annotated[float, Field(gt=0)] = 10.0,
    ) -> None:
        super().__init__()
        if lowest >= highest:
            raise ObjectiveError(
                f"curriculum_soft_labels expects lowest below highest, got lowest {lowest:g} and highest {highest:g}."
            )
        self.lowest, self.highest, self.ramp = lowest, highest, ramp
        self.theta = nn.Parameter(torch.ones(()))
        self._strength = 1.0

    @property
    def learned(self) -> dict[str, float]:
        """The temperature as it now stands."""
        return {"temperature": float(self._temperature(self.theta.detach()))}

    def at_epoch(self, epoch: float | None) -> None:
        """Take the strength of the reversal after this many epochs."""
        self._strength = 1.0 if epoch is None else reversal(epoch, self.ramp)

    def forward(self, student: Outputs, teacher: Knowledge, batch: Batch) -> Tensor:
        """Return the loss, a scalar."""
        temperature = self._temperature(reversed_gradient(self.theta, self._strength))
        return soft_labels(student.logits, log_softened(_detached(teacher), temperature), temperature)

    def _temperature(self, theta: Tensor) -> Tensor:
        return self.lowest + (self.highest - self.lowest) * theta.sigmoid()


def _detached(teacher: Knowledge) -> Knowledge:
    """Return the teacher's answers without its gradient; that of the temperature goes through them."""
    logits, probs = (None if one is None else one.detach() for one in (teacher.logits, teacher.probs))
    return Knowledge(logits=logits, probs=probs)
