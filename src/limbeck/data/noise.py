"""Gaussian noise that can be replayed, the whole batch at once.

Shapes: B samples, C channels, H rows and W columns of pixels, which stay within 0..1.
"""

from __future__ import annotations

import functools

import numpy as np
import torch
from scipy.special import ndtri
from torch import Tensor

from limbeck.data.draws import GOLDEN, mix, seeds_of
from limbeck.data.views import Transform, picture_shape
from limbeck.errors import DataError

LEVELS = 2**16
OF_A_HASH = 4  # 16 bits of each 64


class Noise(Transform):
    """Add Gaussian noise to every pixel and channel.

    sigma: its standard deviation on the scale of 0..1, 0 or more.
    """

    draws = 2

    def __init__(self, sigma: float = 0.05) -> None:
        if not 0 <= sigma < float("inf"):
            raise DataError(f"noise: sigma must be 0 or more, but it is {sigma}.")
        self.sigma = sigma

    def __call__(self, inputs: Tensor, numbers: Tensor) -> Tensor:
        """Add noise to inputs [B, C, H, W] and keep them within 0..1."""
        picture_shape(inputs, "noise")
        noise = normal(seeds_of(numbers), inputs[0].numel()).view_as(inputs)
        return noise.mul_(self.sigma).add_(inputs).clamp_(0, 1)


def normal(seeds: Tensor, count: int) -> Tensor:
    """Return float32 [B, count] of a standard normal distribution, by 16 bits of a hash of seed [B] and place each.

    A table of quantiles, from -4.3 to 4.3, gives the same bits on every device, which logarithm and cosine do not.
    """
    table = torch.from_numpy(_quantiles()).to(seeds.device)
    return table.index_select(0, levels(seeds, count).flatten()).view(len(seeds), count)


def levels(seeds: Tensor, count: int) -> Tensor:
    """Return int32 [B, count] in 0..65535, each equally likely, by a hash of seed [B] and place."""
    places = torch.arange(-(-count // OF_A_HASH), device=seeds.device)
    return mix(mix(seeds)[:, None] + places * GOLDEN).view(torch.uint16)[:, :count].to(torch.int32)


@functools.cache
def _quantiles() -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """Return the middles of 65,536 equally likely parts of the standard normal distribution, ascending."""
    values: np.ndarray[tuple[int], np.dtype[np.float32]] = ndtri((np.arange(LEVELS) + 0.5) / LEVELS).astype(np.float32)
    return values
