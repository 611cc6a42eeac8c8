"""Samples that can be told from each other, and from those that were made before (CMI, Fang et al. 2021).

Shapes: B samples, M in the memory, D dimensions of a feature vector.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

TEMPERATURE = 0.2


def contrastive(features: Tensor, others: Tensor, memory: Tensor, temperature: float = TEMPERATURE) -> Tensor:
    """Return the InfoNCE loss of two views of the same samples, the mean over the batch, in nats.

    features, others: [B, D], row i of both is the same sample; memory: [M, D] of earlier samples, maybe none. A sample
    is to be nearer (by cosine) to its other view than to the views of the batch's other samples and to the memory.
    """
    here = functional.normalize(features, dim=1)
    there = functional.normalize(torch.cat([others, memory]), dim=1)
    return functional.cross_entropy(here @ there.T / temperature, torch.arange(len(here), device=here.device))


class Memory(nn.Module):
    """The features of the samples that were made last. size: how many; dimensions: D."""

    rows: Tensor
    count: Tensor

    def __init__(self, size: int, dimensions: int) -> None:
        super().__init__()
        self.register_buffer("rows", torch.zeros(size, dimensions))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    def known(self) -> Tensor:
        """Return what is remembered: [M, D]."""
        return self.rows[: int(self.count)]

    @torch.no_grad()
    def add(self, features: Tensor) -> None:
        """Remember features [B, D], the oldest ones of a full memory no longer."""
        size = len(self.rows)
        kept = torch.cat([self.known(), features.to(self.rows.device)])[-size:]
        self.rows[: len(kept)] = kept
        self.count.fill_(len(kept))
