"""A module that answers in the user's own units, on the scale that Limbeck trains on. Shapes: B samples, C values."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from limbeck.models.adapt import find_logits


class InUnits(nn.Module):
    """The values of a module less `mean` and over `scale`, C numbers each.

    net: any module that returns values [B, C], as `Adapted` takes them.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, net: nn.Module, mean: Sequence[float], scale: Sequence[float]) -> None:
        super().__init__()
        self.net = net
        self.register_buffer("mean", torch.tensor(mean))
        self.register_buffer("scale", torch.tensor(scale))

    def forward(self, inputs: Tensor) -> Tensor:
        """Return values [B, C] on the scale of training."""
        return (find_logits(self.net(inputs), len(self.mean)) - self.mean) / self.scale
