"""Similarity-preserving distillation: samples alike for the teacher are alike for the student (Tung and Mori 2019)."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from limbeck.objectives.feature_term import FeatureTerm
from limbeck.types import Batch


def similarity_preserving(student: Tensor, teacher: Tensor) -> Tensor:
    """Return `||G_s - G_t||_F^2 / B^2`, G the products of flattened features [B, ...], rows of length 1; 0 for B = 1.

    Both may have any shape (equation 4 of the paper).
    """
    difference = _products(student) - _products(teacher)
    return difference.square().sum() / len(student) ** 2


def _products(features: Tensor) -> Tensor:
    """Return the products of all samples with each other, [B, B], rows of length 1."""
    flat = features.flatten(1)
    return functional.normalize(flat @ flat.T, dim=1)


class SimilarityPreserving(FeatureTerm):
    """Squared difference of how alike the samples of a batch are in the student and in the teacher.

    layers: auto, the last stage, or pairs student:teacher of module paths, of any shapes. Samples of a batch are
    related to each other, so it cannot be taken in parts. Published weight: 3000.
    """

    reach = "last"
    additive = False

    def compare(self, place: int, student: Tensor, teacher: Tensor, batch: Batch) -> Tensor:
        """Return the squared difference of a pair; 0 for a batch of one."""
        return similarity_preserving(student, teacher)
