"""Probabilistic knowledge transfer: whom each sample is near to, as a distribution (Passalis and Tefas 2018)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from limbeck.objectives.feature_term import FeatureTerm, over_space
from limbeck.types import Batch

TINY = 1e-7


def probabilistic_knowledge(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the mean over all B^2 pairs of `p_t * log((p_t + e) / (p_s + e))`, e = 1e-7; 0 for B = 1.

    student, teacher: features [B, D]; p is (1 + cosine) / 2 of two samples, each row divided by its sum (equation 4 of
    the paper).
    """
    mine, theirs = near(student), near(teacher)
    return (theirs * torch.log((theirs + TINY) / (mine + TINY))).mean()


def near(features: Tensor) -> Tensor:
    """Return how near each sample is to the others, [B, B], rows with the sum 1."""
    unit = functional.normalize(features, dim=1)
    similar = (unit @ unit.T + 1) / 2
    return similar / similar.sum(dim=1, keepdim=True)


class ProbabilisticKnowledge(FeatureTerm):
    """Divergence from the teacher's distribution over neighbours in the batch to the student's.

    layers: auto, the vector before the classifier, or pairs student:teacher of module paths; of pictures and tokens the
    mean over space is taken. Samples of a batch are related to each other, so it cannot be taken in parts. Published
    weight: 30000.
    """

    reach = "embedding"
    additive = False

    def compare(self, place: int, student: Tensor, teacher: Tensor, batch: Batch) -> Tensor:
        """Return the divergence of a pair; 0 for a batch of one."""
        return probabilistic_knowledge(over_space(student), over_space(teacher))
