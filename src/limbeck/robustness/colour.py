"""Light and fog. Shapes: B samples, C channels, H rows and W columns of pixels."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from limbeck.data.light import LEVELS, channel_sums
from limbeck.robustness.corruption import Corruption, sign

OCTAVES = (2, 4, 8)  # cells a side of the fog's grids; each has half the height of the one before
THINNEST = 0.4  # brightness of fog where it is darkest


def _brightness(pixels: Tensor, strength: float, numbers: Tensor) -> Tensor:
    return pixels + (sign(numbers[:, 0]) * strength)[:, None, None, None]


def _contrast(pixels: Tensor, strength: float, _: Tensor) -> Tensor:
    """Bring all pixels nearer to the mean of their picture; sums of whole numbers are the same in any batch."""
    middle = (channel_sums(pixels).sum(1) / (LEVELS * pixels[0].numel())).to(pixels.dtype)[:, None, None, None]
    return (pixels - middle).mul_(1 - strength).add_(middle)


def _fog(pixels: Tensor, strength: float, numbers: Tensor) -> Tensor:
    """Mix in a bright cloud: random numbers on grids of several widths, interpolated."""
    cloud = torch.zeros_like(pixels[:, :1])
    first, height = 0, 0.5 / (1 - 0.5 ** len(OCTAVES))
    for cells in OCTAVES:
        points = (cells + 1) ** 2
        grid = numbers[:, first : first + points].view(-1, 1, cells + 1, cells + 1)
        grown = F.interpolate(grid, (pixels.shape[2], pixels.shape[3]), mode="bilinear", align_corners=True)
        cloud.add_(grown, alpha=height)
        first, height = first + points, height / 2
    return pixels * (1 - strength) + (THINNEST + (1 - THINNEST) * cloud) * strength


COLOUR = (
    Corruption("brightness", "colour", (0.1, 0.2, 0.3, 0.4, 0.5), "brighter or darker by", 1, _brightness),
    Corruption("contrast", "colour", (0.4, 0.55, 0.7, 0.8, 0.9), "contrast lost", 0, _contrast),
    Corruption("fog", "colour", (0.2, 0.3, 0.4, 0.5, 0.65), "share of fog", sum((n + 1) ** 2 for n in OCTAVES), _fog),
)
