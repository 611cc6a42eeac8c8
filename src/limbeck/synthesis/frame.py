"""What a sample looks like from outside: its shape, and the range of its values."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Frame:
    """The samples that a teacher takes.

    shape: of one of them; pictures: whether they are [K, H, W] in 0..1; mean, std: of the values, by channel of a
    picture [K] or with the shape of a vector.
    """

    shape: tuple[int, ...]
    pictures: bool
    mean: Tensor
    std: Tensor

    def nothing(self) -> Tensor:
        """Return two samples of nothing, [2, *shape], to try a model on."""
        return torch.zeros(2, *self.shape, device=self.mean.device)

    def fill(self, raw: Tensor) -> Tensor:
        """Bring any numbers [B, *shape] into the range of samples: 0..1 for pictures, around the mean for vectors."""
        return raw.sigmoid() if self.pictures else self.spread(self.mean) + self.spread(self.std) * raw

    def spread(self, values: Tensor) -> Tensor:
        """Return mean or std so that it fits to samples [B, *shape]."""
        return values.view(-1, 1, 1) if self.pictures and values.ndim == 1 else values

    def stored(self, samples: Tensor) -> Tensor:
        """Return samples [B, *shape] as a pool keeps them: uint8 pictures, float32 vectors."""
        return samples.mul(255).round().clamp(0, 255).to(torch.uint8) if self.pictures else samples.float()

    def shown(self, stored: Tensor) -> Tensor:
        """Return stored samples as a model takes them."""
        return stored.float().div(255) if self.pictures else stored
