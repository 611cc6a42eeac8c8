"""RSLAD: the robust teacher's soft labels in every place of a label (Zi et al. 2021)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from pydantic import Field
from torch import Tensor

from limbeck.objectives.adversarial_term import EPSILON, STEP_SIZE, STEPS, AdversarialTerm, Size, Start, Steps
from limbeck.objectives.base import log_softened
from limbeck.objectives.soft_labels import soft_labels
from limbeck.types import Batch, Knowledge, Outputs

Share = Annotated[float, Field(ge=0, le=1)]


class RobustSoftLabels(AdversarialTerm):
    """`robust KL(p_teacher(x) || p(x')) + (1 - robust) KL(p_teacher(x) || p(x))`, where x' enlarges the first of them.

    robust: share of the divergence at x', 0..1; epsilon: the largest change of a pixel, 0..1; step_size: of each step
    that makes x'; steps: how many. They start at x with a little noise. The teacher is asked about x alone, so kept
    answers do. Published: robust 5/6, epsilon 8/255, step_size 2/255, steps 10, with a robust teacher.
    """

    needs = frozenset({"probs"})
    start: Start = "near"

    def __init__(
        self, *, robust: Share = 5 / 6, epsilon: Size = EPSILON, step_size: Size = STEP_SIZE, steps: Steps = STEPS
    ) -> None:
        super().__init__(epsilon=epsilon, step_size=step_size, steps=steps)
        self.robust = robust

    def inner(self, batch: Batch, teacher: Knowledge) -> Callable[[Tensor], Tensor]:
        """Return the divergence of inputs from the teacher's answers to the batch."""
        target = log_softened(teacher, 1.0).detach()
        return lambda inputs: soft_labels(self.ask(inputs), target, 1.0)

    def forward(self, student: Outputs, teacher: Knowledge, batch: Batch) -> Tensor:
        """Return the loss, a scalar."""
        target = log_softened(teacher, 1.0).detach()
        fooled = soft_labels(self.ask(self.fool(batch, teacher)), target, 1.0)
        return self.robust * fooled + (1 - self.robust) * soft_labels(student.logits, target, 1.0)
