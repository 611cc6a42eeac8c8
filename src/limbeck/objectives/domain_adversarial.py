"""Domain-adversarial training: features that no classifier of domains can use (Ganin et al. 2016, DANN)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from limbeck.objectives.domain_term import DomainTerm, Layers

Count = Annotated[int, Field(ge=1)]


class _Reversed(torch.autograd.Function):
    """The identity, whose gradient is multiplied by -strength."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, strength: float) -> Tensor:
        ctx.strength = strength
        return values.view_as(values)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return -ctx.strength * gradient, None


def reverse_gradient(values: Tensor, strength: float = 1.0) -> Tensor:
    """Return the values; their gradient is multiplied by -strength on the way back."""
    reversed_: Tensor = _Reversed.apply(values, strength)
    return reversed_


def domain_adversarial(source: Tensor, target: Tensor) -> Tensor:
    """Return the binary cross-entropy of telling domains by logits [S] and [T], the mean over both domains."""
    told = functional.binary_cross_entropy_with_logits
    return (told(source, torch.zeros_like(source)) + told(target, torch.ones_like(target))) / 2


class DomainAdversarial(DomainTerm):
    """A perceptron learns to tell the domains by the student's features, which learn that it cannot (DANN).

    layers: auto, the vector before the classifier, or module paths of the student; hidden: units of the perceptron's
    hidden layer; over: steps until the reversed gradient is at full strength, along `2 / (1 + exp(-10 p)) - 1` with p
    the share of them that is done, 0 for full strength at once. The perceptron is trained with the student and never
    shipped. Published weight: 1.
    """

    seen: Tensor

    def __init__(self, layers: Layers = "auto", hidden: Count = 100, over: Annotated[int, Field(ge=0)] = 1000) -> None:
        super().__init__(layers)
        self.hidden, self.over = hidden, over
        self.register_buffer("seen", torch.zeros((), dtype=torch.long))

    def build(self, sizes: Sequence[int]) -> None:
        """Make a perceptron for each layer."""
        self.judges = nn.ModuleList(
            nn.Sequential(nn.Linear(size, self.hidden), nn.ReLU(), nn.Linear(self.hidden, 1)) for size in sizes
        )

    def compare(self, place: int, source: Tensor, target: Tensor) -> Tensor:
        """Return how badly the domains are told by a layer, in nats."""
        told = self.judges[place](reverse_gradient(torch.cat([source, target]), self._strength())).squeeze(1)
        if place == len(self.heard) - 1:
            self.seen = self.seen + 1
        return domain_adversarial(told[: len(source)], told[len(source) :])

    def _strength(self) -> float:
        done = 1.0 if self.over == 0 else min(1.0, int(self.seen) / self.over)
        return 1.0 if done == 1.0 else 2 / (1 + math.exp(-10 * done)) - 1
