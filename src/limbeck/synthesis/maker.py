"""What makes samples: one round after the other, a batch in each.

Shapes: B samples, Z latent numbers, C classes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from limbeck.synthesis.guide import Guide

BETAS = (0.5, 0.999)


@dataclass(frozen=True, eq=False)
class Made:
    """A batch. samples: [B, ...] as a model takes them, without a gradient; parts: the terms, unweighted, by name."""

    samples: Tensor
    parts: Mapping[str, float] = field(default_factory=dict)


class Maker(ABC):
    """Makes a batch a round. modules, optimizers: what it keeps from one round to the next."""

    def __init__(self) -> None:
        self.modules: dict[str, nn.Module] = {}
        self.optimizers: dict[str, torch.optim.Optimizer] = {}

    def begin_again(self) -> None:  # noqa: B027  # most have nothing that they could forget
        """Forget what was learned, where there is something to forget."""

    @abstractmethod
    def make(self, guide: Guide, count: int) -> Made:
        """Return `count` new samples, made as torch's random numbers and the guide have it."""


def every_class(count: int, classes: int, device: torch.device) -> Tensor:
    """Return as many of each class as of the others, as far as that can be: int64 [count]; the rest is drawn."""
    whole = torch.arange(classes).repeat(count // classes)
    return torch.cat([whole, torch.randperm(classes)[: count % classes]]).to(device)
