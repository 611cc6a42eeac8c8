"""Knowledge review: the student's deep layers help its shallow ones to learn the teacher's (Chen et al. 2021)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from limbeck.errors import ObjectiveError
from limbeck.objectives.base import Context
from limbeck.objectives.feature_term import FeatureTerm
from limbeck.types import Batch, Knowledge, Outputs

PYRAMID = (4, 2, 1)
WIDEST = 512  # channels between the student's and the teacher's


def hierarchical_context(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the mean squared difference of features [B, C, H, W] and of their means over 4 x 4, 2 x 2 and 1 part.

    Levels as large as the features are left out; each one that counts has half the weight of the one before, and
    weights sum to 1 (section 3.4 of the paper).
    """
    total, weight, weights = functional.mse_loss(student, teacher), 1.0, 1.0
    for size in (size for size in PYRAMID if size < student.shape[2]):
        weight /= 2
        mine, theirs = (functional.adaptive_avg_pool2d(one, size) for one in (student, teacher))
        total = total + weight * functional.mse_loss(mine, theirs)
        weights += weight
    return total / weights


class Fusion(nn.Module):
    """What a layer of the student and the deeper ones know together: [B, inputs, H, W] to [B, outputs, H', W'].

    Two maps of attention decide how much of the layer and how much of the deeper ones each place takes. deepest:
    whether there is no deeper one.
    """

    def __init__(self, inputs: int, middle: int, outputs: int, *, deepest: bool) -> None:
        super().__init__()
        self.enter = nn.Sequential(nn.Conv2d(inputs, middle, 1, bias=False), nn.BatchNorm2d(middle))
        self.leave = nn.Sequential(nn.Conv2d(middle, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs))
        self.attend = None if deepest else nn.Sequential(nn.Conv2d(2 * middle, 2, 1), nn.Sigmoid())

    def forward(self, features: Tensor, deeper: Tensor | None, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Return features like the teacher's at a size (H', W'), and what the next shallower layer takes along."""
        fused = self.enter(features)
        if self.attend is not None and deeper is not None:
            larger = functional.interpolate(deeper, fused.shape[2:], mode="nearest")
            shares = self.attend(torch.cat([fused, larger], dim=1))
            fused = fused * shares[:, :1] + larger * shares[:, 1:]
        fused = functional.interpolate(fused, size, mode="nearest")
        return self.leave(fused), fused


class Review(FeatureTerm):
    """Hierarchical context loss between the teacher's stages and the student's, fused from the deepest to the first.

    layers: auto, every stage, or pairs student:teacher of module paths of pictures, the shallowest first. The modules
    that fuse are trained with the student and never shipped; they have batch norm, so a batch cannot be taken in parts.
    Published weight: 1, raised from 0 over the first 20 epochs.
    """

    additive = False

    def build(self, context: Context) -> None:
        """Make a fusion for each pair."""
        for pair in self.pairs:
            if len(pair.student_shape) != 3 or len(pair.teacher_shape) != 3:
                raise ObjectiveError(
                    f"review compares features of pictures [C, H, W], but was given {pair}; name other layers, or take "
                    f"a term that compares vectors, such as hint or similarity_preserving."
                )
        middle = min(WIDEST, self.pairs[-1].student_shape[0])
        self.fusions = nn.ModuleList(
            Fusion(pair.student_shape[0], middle, pair.teacher_shape[0], deepest=pair is self.pairs[-1])
            for pair in self.pairs
        )

    def forward(self, student: Outputs, teacher: Knowledge, batch: Batch) -> Tensor:
        """Return the sum over all pairs, the student's features fused with the deeper ones."""
        losses, deeper = [], None
        for place, (mine, theirs) in reversed(list(enumerate(self.heard(student, teacher)))):
            fused, deeper = self.fusions[place](mine, deeper, (theirs.shape[2], theirs.shape[3]))
            losses.append(self.compare(place, fused, theirs, batch))
        return torch.stack(losses).sum()

    def compare(self, place: int, student: Tensor, teacher: Tensor, batch: Batch) -> Tensor:
        """Return the hierarchical context loss of fused features."""
        return hierarchical_context(student, teacher)
