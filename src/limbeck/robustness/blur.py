"""Blur. Around a picture lie its outermost pixels again.

Weighted sums of moved pictures, added in a fixed order, rather than convolutions, whose last bits depend on the batch.

Shapes: B samples, C channels, H rows and W columns of pixels.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from limbeck.data.affine import resample
from limbeck.robustness.corruption import Corruption, side

TRUNCATE = 4.0  # deviations, as in scipy.ndimage.gaussian_filter
MOST_TAPS = 33
PARTS = 16  # of a pixel's side, to measure how much of it a disc covers


def _gaussian(pixels: Tensor, strength: float, _: Tensor) -> Tensor:
    deviation = strength * side(pixels)
    radius = int(TRUNCATE * deviation + 0.5)
    weights = np.exp(-0.5 * (np.arange(radius + 1) / deviation) ** 2)
    weights /= weights[0] + 2 * weights[1:].sum()
    across = _along(F.pad(pixels, (radius, radius, 0, 0), mode="replicate"), weights, 3)
    return _along(F.pad(across, (0, 0, radius, radius), mode="replicate"), weights, 2)


def _along(padded: Tensor, weights: NDArray[np.float64], axis: int) -> Tensor:
    """Blur along an axis by a symmetric kernel, weights from its middle outwards."""
    radius = len(weights) - 1
    length = padded.shape[axis] - 2 * radius
    result = padded.narrow(axis, radius, length) * float(weights[0])
    for far in range(1, radius + 1):
        both = padded.narrow(axis, radius - far, length) + padded.narrow(axis, radius + far, length)
        result.add_(both, alpha=float(weights[far]))
    return result


def _motion(pixels: Tensor, strength: float, numbers: Tensor) -> Tensor:
    """Average along a line of any direction."""
    length = strength * side(pixels)
    taps = min(2 * math.ceil(length / 2) + 1, MOST_TAPS)
    angle = numbers[:, 0].double() * math.pi
    result = torch.zeros_like(pixels)
    for place in np.linspace(-length / 2, length / 2, max(taps, 3)).tolist():
        result.add_(resample(pixels, moved(angle.cos() * place, angle.sin() * place), "border"))
    return result / max(taps, 3)


def _defocus(pixels: Tensor, strength: float, _: Tensor) -> Tensor:
    weights = disc(0.5 + strength * side(pixels))
    edge = len(weights) // 2
    padded = F.pad(pixels, (edge, edge, edge, edge), mode="replicate")
    height, width = pixels.shape[2:]
    result = torch.zeros_like(pixels)
    for down, right in zip(*np.nonzero(weights), strict=True):
        window = padded.narrow(2, int(down), height).narrow(3, int(right), width)
        result.add_(window, alpha=float(weights[down, right]))
    return result


def disc(radius: float) -> NDArray[np.float64]:
    """Return the weights of a disc about the middle of a pixel, by how much of each pixel it covers; their sum is 1."""
    edge = math.ceil(radius - 0.5)
    places = (np.arange((2 * edge + 1) * PARTS) + 0.5) / PARTS - edge - 0.5
    inside = np.hypot(places, places[:, None]) <= radius
    weights = inside.reshape(2 * edge + 1, PARTS, 2 * edge + 1, PARTS).mean((1, 3))
    return np.asarray(weights / weights.sum())


def moved(right: Tensor, down: Tensor) -> Tensor:
    """Return the matrix [B, 2, 3] that takes pixels from so far to the right and down, float64 [B] each, in pixels."""
    one, zero = torch.ones_like(right), torch.zeros_like(right)
    return torch.stack([one, zero, right, zero, one, down], dim=1).view(-1, 2, 3)


BLUR = (
    Corruption("gaussian_blur", "blur", (0.025, 0.035, 0.045, 0.055, 0.07), "deviation, share of the side", 0,
               _gaussian),
    Corruption("motion_blur", "blur", (0.06, 0.12, 0.18, 0.24, 0.32), "length, share of the side", 1, _motion),
    Corruption("defocus_blur", "blur", (0.02, 0.03, 0.04, 0.05, 0.065),
               "radius less half a pixel, share of the side", 0, _defocus),
)  # fmt: skip
