"""Terms that teach the student on inputs which are made to fool it, anew at each step.

Shapes: B samples, C classes. Inputs are pictures in 0..1; what is made of them is within epsilon of each pixel.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from limbeck.errors import ObjectiveError
from limbeck.models.arithmetic import Arithmetic
from limbeck.models.modes import evaluating
from limbeck.objectives.ball import ball_around
from limbeck.objectives.base import CLASSIFICATION, Context, Term, promote, snake_case
from limbeck.types import Batch, Knowledge, Outputs

Size = Annotated[float, Field(ge=0, le=1)]
Steps = Annotated[int, Field(ge=1)]
Start = Literal["anywhere", "near"]

EPSILON, STEP_SIZE, STEPS = 8 / 255, 2 / 255, 10
NEAR = 0.001  # standard deviation of the noise that a climb starts with where its loss has no slope at the input itself


def craft(
    inputs: Tensor,
    loss: Callable[[Tensor], Tensor],
    *,
    epsilon: float,
    step_size: float,
    steps: int,
    start: Start = "anywhere",
) -> Tensor:
    """Return inputs [B, ...] within epsilon of these and in 0..1, where a loss is larger (Madry et al. 2018).

    loss: from inputs to a scalar, climbed by the sign of its gradient; start: anywhere in the ball, or near the input,
    both drawn by torch's own generator. The result has no gradient.
    """
    ball = ball_around(promote(inputs.detach()), epsilon=epsilon)
    points = ball.anywhere() if start == "anywhere" else ball.project(_near(ball.centre))
    for _ in range(steps):
        with torch.enable_grad():
            points = points.detach().requires_grad_(True)
            (gradient,) = torch.autograd.grad(loss(points.to(inputs.dtype)), points)
        points = ball.step(points.detach(), gradient, step_size)
    return points.detach().to(inputs.dtype)


def _near(inputs: Tensor) -> Tensor:
    return inputs + NEAR * torch.randn_like(inputs, dtype=torch.float32).to(inputs)  # the same draws for every type


class AdversarialTerm(Term):
    """A term that asks the student itself, about inputs that it makes; it must be prepared before the first step.

    They are made with the student in evaluation mode, so that its statistics and dropout have no part in that, and
    learned from in the mode that it is trained in. epsilon: the largest change of a pixel; step_size: of each of the
    steps of the climb.
    """

    tasks = CLASSIFICATION
    start: Start = "anywhere"

    def __init__(self, *, epsilon: Size = EPSILON, step_size: Size = STEP_SIZE, steps: Steps = STEPS) -> None:
        super().__init__()
        if step_size > 2 * epsilon > 0:
            raise ObjectiveError(
                f"{snake_case(type(self).__name__)} expects a step_size of 2 epsilon at most, which crosses the ball, "
                f"got step_size {step_size:g} and epsilon {epsilon:g}; are they swapped?"
            )
        self.epsilon, self.step_size, self.steps = epsilon, step_size, steps
        self._asked: tuple[nn.Module, Arithmetic] | None = None  # a tuple, so that nothing is registered

    def prepare(self, student: Outputs, teacher: Knowledge, context: Context) -> None:
        """Remember whom to ask."""
        self._asked = (context.student, context.arithmetic)

    def ask(self, inputs: Tensor) -> Tensor:
        """Return the student's logits [B, C] for inputs [B, ...], in the mode that it is in."""
        model, arithmetic = self._student()
        logits: Tensor = arithmetic.forward(model, inputs).logits
        return logits

    def fool(self, batch: Batch, teacher: Knowledge) -> Tensor:
        """Return inputs [B, ...] within epsilon of the batch's where the term's inner loss is larger."""
        with evaluating(self._student()[0]):
            return craft(
                batch.inputs,
                self.inner(batch, teacher),
                epsilon=self.epsilon,
                step_size=self.step_size,
                steps=self.steps,
                start=self.start,
            )

    @abstractmethod
    def inner(self, batch: Batch, teacher: Knowledge) -> Callable[[Tensor], Tensor]:
        """Return the loss that inputs are made to enlarge: from inputs [B, ...] to a scalar."""

    def _student(self) -> tuple[nn.Module, Arithmetic]:
        if self._asked is None:
            raise ObjectiveError(
                f"{snake_case(type(self).__name__)} does not know the student yet; call objective.prepare(outputs, "
                f"knowledge, Context(student, samples)) once before the first step."
            )
        return self._asked
