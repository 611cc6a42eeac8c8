"""Hints: a layer of the student, projected, learns a layer of the teacher (Romero et al. 2015, FitNets)."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from limbeck.objectives.base import Context
from limbeck.objectives.feature_term import FeatureTerm, projected, projectors_of, same_space
from limbeck.types import Batch


def hint(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the mean squared difference of features [B, C, *space] of one shape."""
    return functional.mse_loss(student, teacher)


class Hint(FeatureTerm):
    """Mean squared error between the student's features, through a learned 1 x 1 projection, and the teacher's.

    layers: auto, the stage in the middle, or pairs student:teacher of module paths. The larger features are averaged
    to the size of the smaller ones; vectors are compared with the mean over a picture's space. The projection is
    trained with the student and never shipped. Published weight: 100.
    """

    reach = "middle"

    def build(self, context: Context) -> None:
        """Make a projection from the student's channels to the teacher's for each pair."""
        self.projectors = projectors_of(self.pairs)

    def compare(self, place: int, student: Tensor, teacher: Tensor, batch: Batch) -> Tensor:
        """Return the mean squared error of a pair."""
        mine, theirs = same_space(student, teacher)
        return hint(projected(self.projectors[place], mine), theirs)
