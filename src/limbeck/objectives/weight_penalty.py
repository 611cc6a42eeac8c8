"""Squared norm of the student's weights, added to the loss."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from limbeck.errors import ObjectiveError
from limbeck.objectives.base import Context, Term, promote
from limbeck.types import Batch, Knowledge, Outputs


def squared_norm(parameters: Iterable[Tensor]) -> Tensor:
    """Return the sum of squares over all given parameters; 0 when there are none."""
    squares = [promote(parameter).square().sum() for parameter in parameters]
    return torch.stack(squares).sum() if squares else torch.zeros(())


class WeightPenalty(Term):
    """`||theta||^2` of the student; the weight is the lambda of `L + lambda ||theta||^2`.

    exclude_norm_and_bias: leave out parameters with fewer than two dimensions (biases, scales of
    normalisation layers).
    """

    unlabelled = False

    def __init__(self, exclude_norm_and_bias: bool = True) -> None:
        super().__init__()
        self.exclude_norm_and_bias = exclude_norm_and_bias
        self._watched: tuple[nn.Parameter, ...] | None = None  # a tuple, so that they are not registered twice

    def prepare(self, student: Outputs, teacher: Knowledge, context: Context) -> None:
        """Remember which of the student's parameters are penalised."""
        self._watched = tuple(
            parameter
            for parameter in context.student.parameters()
            if parameter.requires_grad and (parameter.ndim > 1 or not self.exclude_norm_and_bias)
        )

    def forward(self, student: Outputs, teacher: Knowledge, batch: Batch) -> Tensor:
        """Return the penalty, a scalar of at least 0; ObjectiveError when `prepare` was never called."""
        if self._watched is None:
            raise ObjectiveError(
                "weight_penalty does not know the student's weights yet; call objective.prepare(outputs, "
                "knowledge, Context(student, samples)) once before the first step."
            )
        return squared_norm(self._watched)
