"""Variational information distillation: the teacher's features are likely, given the student's (Ahn et al. 2019)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from limbeck.objectives.base import Context
from limbeck.objectives.feature_term import FeatureTerm, channels_of, projected, same_space
from limbeck.types import Batch

START = 5.0  # variance of each channel before training
TINY = 1e-5


def variational(mean: Tensor, teacher: Tensor, variance: Tensor) -> Tensor:
    """Return `((t - mean)^2 / variance + log variance) / 2`, mean over batch, channels and space.

    mean: of the Gaussian, [B, C, *space], made from the student; teacher: t, of the same shape; variance: [C], above 0.
    That is -log q(t | student) without its constant (equation 6 of the paper).
    """
    spread = variance.reshape(-1, *[1] * (mean.ndim - 2))
    return ((teacher - mean).square() / spread + spread.log()).mean() / 2


class Variational(FeatureTerm):
    """How unlikely the teacher's features are in a Gaussian about what is projected from the student's.

    layers: auto, every stage, or pairs student:teacher of module paths. A network of three 1 x 1 convolutions makes the
    mean, and each channel has a learned variance, 5 at the start; both are trained with the student and never shipped.
    The larger features are averaged to the size of the smaller ones; vectors are compared with the mean over a
    picture's space. Published weight: 1.
    """

    def build(self, context: Context) -> None:
        """Make the network and the variances of each pair."""
        sizes = [(channels_of(pair.student_shape), channels_of(pair.teacher_shape)) for pair in self.pairs]
        self.means = nn.ModuleList(_network(mine, theirs) for mine, theirs in sizes)
        start = math.log(math.expm1(START - TINY))  # softplus of it is START
        self.spreads = nn.ParameterList(torch.full((theirs,), start) for _, theirs in sizes)

    def compare(self, place: int, student: Tensor, teacher: Tensor, batch: Batch) -> Tensor:
        """Return the negative log likelihood of a pair, without its constant."""
        mine, theirs = same_space(student, teacher)
        variance = functional.softplus(self.spreads[place]) + TINY
        return variational(projected(self.means[place], mine), theirs, variance)


def _network(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, outputs, bias=False), nn.ReLU(), nn.Linear(outputs, outputs, bias=False), nn.ReLU(),
        nn.Linear(outputs, outputs, bias=False),
    )  # fmt: skip
