"""Attention transfer: where the student looks, by the teacher (Zagoruyko and Komodakis 2017, equation 2)."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import Tensor
from torch.nn import functional

from limbeck.objectives.base import Context
from limbeck.objectives.feature_term import FeatureTerm, check_space, same_space
from limbeck.objectives.pairing import Layers
from limbeck.types import Batch


def attention(features: Tensor, power: float) -> Tensor:
    """Return maps of attention [B, S] of length 1: the mean over channels of |f|^power, of features [B, C, *space]."""
    return functional.normalize(features.abs().pow(power).mean(dim=1).flatten(1), dim=1)


def attention_transfer(student: Tensor, teacher: Tensor, power: float) -> Tensor:
    """Return the mean squared difference of the maps of attention of features [B, *, *space] of one size."""
    return (attention(student, power) - attention(teacher, power)).square().mean()


class AttentionTransfer(FeatureTerm):
    """Mean squared difference of maps of attention, the normalised means over channels of |f|^power.

    layers: auto, every stage, or pairs student:teacher of module paths. power: of the features' size, 1 or more. The
    larger features are averaged to the size of the smaller ones first. Published weight: 1000.
    """

    def __init__(self, layers: Layers = "auto", power: Annotated[float, Field(ge=1, le=8)] = 2.0) -> None:
        super().__init__(layers)
        self.power = power

    def build(self, context: Context) -> None:
        """Check that every layer has places to look at."""
        check_space("attention_transfer", self.pairs)

    def compare(self, place: int, student: Tensor, teacher: Tensor, batch: Batch) -> Tensor:
        """Return the mean squared difference of a pair."""
        return attention_transfer(*same_space(student, teacher), self.power)
