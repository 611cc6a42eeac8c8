"""Parts of a picture that are covered. Edges fall between pixels too: those half covered are half changed.

Shapes: B samples, C channels, H rows and W columns of pixels.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from limbeck.robustness.corruption import Corruption, side

GREY = 0.5


def _occlusion(pixels: Tensor, strength: float, numbers: Tensor) -> Tensor:
    """Put a grey rectangle of the picture's shape anywhere within it."""
    height, width = pixels.shape[2:]
    rows, columns = (_covered(numbers[:, i], strength, length) for i, length in enumerate((height, width)))
    covered = (rows[:, :, None] * columns[:, None])[:, None]
    return pixels + covered * (GREY - pixels)


def _covered(numbers: Tensor, share: float, length: int) -> Tensor:
    """Return how much of each of so many pixels in a row is covered, [B, length]; numbers [B]: where, 0..1."""
    start = numbers[:, None] * (1 - share) * length
    places = torch.arange(length, device=numbers.device)
    return (torch.minimum(places + 1, start + share * length) - torch.maximum(places, start)).clamp_(0, 1)


def _stripe(pixels: Tensor, strength: float, numbers: Tensor) -> Tensor:
    """Invert a stripe across the picture, near its middle, in any direction."""
    height, width = pixels.shape[2:]
    angle, offset = math.pi * numbers[:, 0], (numbers[:, 1] - 0.5) * side(pixels) / 2
    x = torch.arange(width, device=pixels.device) - (width - 1) / 2
    y = torch.arange(height, device=pixels.device) - (height - 1) / 2
    along, down = angle.cos()[:, None, None] * x, (angle.sin()[:, None] * y)[:, :, None]
    away = (along + down - offset[:, None, None]).abs()
    inside = (0.5 + strength * side(pixels) / 2 - away).clamp_(0, 1)[:, None]
    return pixels + inside * (1 - 2 * pixels)


COVER = (
    Corruption("occlusion", "cover", (0.2, 0.3, 0.4, 0.5, 0.6), "side, share of the picture's", 2, _occlusion),
    Corruption("stripe", "cover", (0.08, 0.14, 0.20, 0.28, 0.36), "width, share of the side", 2, _stripe),
)
