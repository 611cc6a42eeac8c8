"""Relational distillation by angles between samples (Park et al. 2019, RKD-A)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from limbeck.objectives.feature_term import FeatureTerm, over_space
from limbeck.types import Batch


def relational_angle(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the mean smooth L1 difference of the cosines of all B^3 triplets of features [B, D]; 0 for B = 1."""
    return functional.smooth_l1_loss(cosines(student), cosines(teacher))


def cosines(features: Tensor) -> Tensor:
    """Return the cosine at sample i between the ways to j and to k, [B, B, B] by (i, j, k); 0 where i is j or k."""
    ways = features[None] - features[:, None]  # from i to j
    squared = ways.square().sum(dim=2, keepdim=True)
    apart = squared > 0
    length = torch.where(apart, squared, torch.ones_like(squared)).sqrt()  # a root has no slope at 0
    unit = ways / length
    return unit @ unit.transpose(1, 2)


class RelationalAngle(FeatureTerm):
    """Smooth L1 difference of the cosines of the angles that each three samples of a batch make.

    layers: auto, the vector before the classifier, or pairs student:teacher of module paths; of pictures and tokens the
    mean over space is taken. Memory grows with the cube of the batch. Samples of a batch are related to each other, so
    it cannot be taken in parts. Published weight: 50.
    """

    reach = "embedding"
    additive = False

    def compare(self, place: int, student: Tensor, teacher: Tensor, batch: Batch) -> Tensor:
        """Return the difference of a pair; 0 for a batch of one."""
        return relational_angle(over_space(student), over_space(teacher))
