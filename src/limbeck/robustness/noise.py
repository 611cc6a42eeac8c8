"""Noise in pictures, a number of its own for every pixel and channel.

Shapes: B samples, C channels, H rows and W columns of pixels.
"""

from __future__ import annotations

import functools

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import pdtr
from torch import Tensor

from limbeck.data.draws import seeds_of
from limbeck.data.noise import LEVELS, levels, normal
from limbeck.robustness.corruption import Corruption

BRIGHTNESSES, QUANTILES = 256, 4096


def _gaussian(pixels: Tensor, strength: float, numbers: Tensor) -> Tensor:
    return _normal_like(pixels, numbers).mul_(strength).add_(pixels)


def _shot(pixels: Tensor, strength: float, numbers: Tensor) -> Tensor:
    """Count light: Poisson(strength * pixel) / strength, the rate being that of the nearest of 256 levels."""
    table = torch.from_numpy(_poisson_quantiles(strength)).to(pixels.device)
    row = (pixels * (BRIGHTNESSES - 1)).round_().to(torch.int32) * QUANTILES
    column = levels(seeds_of(numbers), pixels[0].numel()).view_as(row) // (LEVELS // QUANTILES)
    return table.index_select(0, (row + column).flatten()).view_as(pixels)


def _impulse(pixels: Tensor, strength: float, numbers: Tensor) -> Tensor:
    places = levels(seeds_of(numbers), pixels[0].numel()).view_as(pixels) / LEVELS
    black, hit = places < strength / 2, places < strength
    return torch.where(hit, (~black).to(pixels.dtype), pixels)


def _speckle(pixels: Tensor, strength: float, numbers: Tensor) -> Tensor:
    return _normal_like(pixels, numbers).mul_(strength).add_(1).mul_(pixels)


def _normal_like(pixels: Tensor, numbers: Tensor) -> Tensor:
    return normal(seeds_of(numbers), pixels[0].numel()).view_as(pixels)


@functools.cache
def _poisson_quantiles(strength: float) -> NDArray[np.float32]:
    """Return counts / strength [256 * 4096]: by brightness, the middles of 4,096 equally likely parts, ascending."""
    rates = strength * np.arange(BRIGHTNESSES) / (BRIGHTNESSES - 1)
    most = int(strength + 8 * np.sqrt(strength) + 10)
    cumulative = pdtr(np.arange(most), rates[:, None])
    parts = (np.arange(QUANTILES) + 0.5) / QUANTILES
    counts = np.concatenate([np.searchsorted(row, parts) for row in cumulative])
    return (counts / strength).astype(np.float32)


NOISE = (
    Corruption("gaussian_noise", "noise", (0.05, 0.10, 0.15, 0.20, 0.30), "deviation", 2, _gaussian),
    Corruption("shot_noise", "noise", (60, 30, 15, 8, 4), "counts of a white pixel", 2, _shot),
    Corruption("impulse_noise", "noise", (0.02, 0.05, 0.10, 0.15, 0.25), "share of values made black or white", 2,
               _impulse),
    Corruption("speckle_noise", "noise", (0.15, 0.25, 0.35, 0.50, 0.70), "deviation, times the pixel", 2, _speckle),
)  # fmt: skip
