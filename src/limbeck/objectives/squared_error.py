"""Squared error to the true values: what regression is trained by."""

from __future__ import annotations

from torch import Tensor

from limbeck.objectives.base import REGRESSION
from limbeck.objectives.label_term import LabelTerm
from limbeck.types import Knowledge


def squared_error(answers: Tensor, target: Tensor) -> Tensor:
    """Return `||s - y||^2` of each row [B]; both [B, C], and summed over the C values."""
    return (answers - target).square().sum(dim=1)


class SquaredError(LabelTerm):
    """Squared distance between the student's values and the true ones, averaged over the labelled rows.

    A run brings the values to mean 0 and deviation 1 over the training rows first, so that it is near C where a model
    knows nothing, whatever their units.
    """

    tasks = REGRESSION

    def losses(self, answers: Tensor, labels: Tensor, teacher: Knowledge) -> Tensor:
        """Return the loss of each row [B]."""
        return squared_error(answers, labels)
