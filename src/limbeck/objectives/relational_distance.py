"""Relational distillation by distances between samples (Park et al. 2019, RKD-D)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from limbeck.objectives.feature_term import FeatureTerm
from limbeck.types import Batch


def relational_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the smooth L1 difference of pairwise distances of features [B, ...], mean over all B^2 pairs; 0 for B = 1.

    Distances of each side are divided by the mean of its positive ones, so the sizes of the features do not matter.
    """
    return functional.smooth_l1_loss(distances(student), distances(teacher))


def distances(features: Tensor) -> Tensor:
    """Return distances between flattened features [B, ...] in units of their mean, [B, B]; the diagonal is 0."""
    flat = features.flatten(1)
    apart = torch.cdist(flat, flat, compute_mode="donot_use_mm_for_euclid_dist")  # exactly 0 where both are equal
    mean = apart.sum() / (apart > 0).sum().clamp_min(1)
    return apart / torch.where(mean > 0, mean, torch.ones_like(mean))


class RelationalDistance(FeatureTerm):
    """Smooth L1 difference of the distances between samples, each side's in units of its mean.

    layers: auto, the vector before the classifier, or pairs student:teacher of module paths, of any shapes. Samples of
    a batch are related to each other, so it cannot be taken in parts. Published weight: 25.
    """

    reach = "embedding"
    additive = False

    def compare(self, place: int, student: Tensor, teacher: Tensor, batch: Batch) -> Tensor:
        """Return the difference of a pair; 0 for a batch of one."""
        return relational_distance(student, teacher)
