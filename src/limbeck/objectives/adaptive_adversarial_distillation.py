"""AdaAD: inputs where student and teacher differ most, found through both of them (Huang et al. 2023)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from limbeck.errors import ObjectiveError
from limbeck.objectives.adversarial_term import EPSILON, STEP_SIZE, STEPS, AdversarialTerm, Size, Start, Steps
from limbeck.objectives.base import Context, log_softened, promote
from limbeck.objectives.robust_soft_labels import Share
from limbeck.objectives.soft_labels import soft_labels
from limbeck.types import Batch, Knowledge, Outputs


class AdaptiveAdversarialDistillation(AdversarialTerm):
    """`robust KL(p_teacher(x') || p(x')) + (1 - robust) KL(p_teacher(x) || p(x))`, where x' enlarges the first of them.

    The teacher is asked at each step of the climb, and its gradient is a part of it, so it is a network that answers
    live. robust: share of the divergence at x', 0..1; epsilon: the largest change of a pixel, 0..1; step_size: of each
    step that makes x'; steps: how many. They start at x with a little noise. Published: robust 1, epsilon 8/255,
    step_size 2/255, steps 10, with a robust teacher.
    """

    needs = frozenset({"probs", "gradients"})
    start: Start = "near"

    def __init__(
        self, *, robust: Share = 1.0, epsilon: Size = EPSILON, step_size: Size = STEP_SIZE, steps: Steps = STEPS
    ) -> None:
        super().__init__(epsilon=epsilon, step_size=step_size, steps=steps)
        self.robust = robust
        self._teacher: Callable[[Tensor], Tensor] | None = None

    def prepare(self, student: Outputs, teacher: Knowledge, context: Context) -> None:
        """Remember whom to ask, the teacher too. Raises ObjectiveError for one through which no gradient goes."""
        super().prepare(student, teacher, context)
        if context.teacher is None:
            raise ObjectiveError(
                "adaptive_adversarial_distillation follows the teacher's gradients; expected Context.teacher, a "
                "function from inputs to logits, got none."
            )
        self._teacher = context.teacher

    def inner(self, batch: Batch, teacher: Knowledge) -> Callable[[Tensor], Tensor]:
        """Return the divergence of the student from the teacher, both asked about the inputs."""
        return lambda inputs: soft_labels(self.ask(inputs), self._target(inputs), 1.0)

    def forward(self, student: Outputs, teacher: Knowledge, batch: Batch) -> Tensor:
        """Return the loss, a scalar."""
        fooling = self.fool(batch, teacher)
        with torch.no_grad():
            target = self._target(fooling)
        loss = self.robust * soft_labels(self.ask(fooling), target, 1.0)
        if self.robust == 1:
            return loss
        return loss + (1 - self.robust) * soft_labels(student.logits, log_softened(teacher, 1.0).detach(), 1.0)

    def _target(self, inputs: Tensor) -> Tensor:
        """Return the teacher's log probabilities [B, C] for inputs, with gradients at these."""
        assert self._teacher is not None  # `prepare` has found one
        return torch.log_softmax(promote(self._teacher(inputs)), dim=1)
