"""Answering as before training began (Li, Hoiem 2016, LwF). Shapes: B samples, K classes of the student's source."""

from __future__ import annotations

import copy
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from limbeck.errors import ObjectiveError
from limbeck.models.adapt import SOURCE, Adapted
from limbeck.objectives.base import CLASSIFICATION, Context, Term, promote
from limbeck.objectives.soft_labels import soft_labels
from limbeck.types import Batch, Knowledge, Outputs


class LearningWithoutForgetting(Term):
    """Divergence from what the student said at the start of the stage, by its source's classifier, to what it says now.

    Where the data have other classes than the source, the source's classifier [B, K] is kept beside the new one and
    does not learn; where they have the same, the student's own answers are compared. The student as it was answers for
    every batch, in evaluation mode: one forward pass more. Samples without a label count too. temperature: above 0, of
    both sides; the divergence is multiplied by T^2. Published: weight 1 without that factor, temperature 2, and a
    source's classifier that learns.
    """

    tasks = CLASSIFICATION

    def __init__(self, temperature: Annotated[float, Field(gt=0)] = 2.0) -> None:
        super().__init__()
        self.temperature = temperature
        self._before: tuple[nn.Module, ...] = ()  # a tuple, so that nothing is registered, trained or saved

    def prepare(self, student: Outputs, teacher: Knowledge, context: Context) -> None:
        """Keep the student as it is now."""
        before = copy.deepcopy(context.student).eval().requires_grad_(False)
        if isinstance(before, Adapted):
            before.listen_to(())
        self._before = (before,)

    def forward(self, student: Outputs, teacher: Knowledge, batch: Batch) -> Tensor:
        """Return the divergence, a scalar of at least 0; ObjectiveError when `prepare` was never called."""
        if not self._before:
            raise ObjectiveError(
                "learning_without_forgetting does not know how the student began; call objective.prepare(outputs, "
                "knowledge, Context(student, samples)) once before the first step."
            )
        with torch.no_grad():
            said = promote(_by_source(self._before[0](batch.inputs)))
        target = torch.log_softmax(said / self.temperature, dim=1)
        return soft_labels(_by_source(student), target, self.temperature)


def _by_source(outputs: Outputs) -> Tensor:
    """Return the logits [B, K] of the source's classifier: the student's own where no other one took its place."""
    return outputs.heads.get(SOURCE, outputs.logits)
