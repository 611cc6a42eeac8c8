"""Pictures that are moved, turned, scaled or sheared about their middle; outside lie their outermost pixels again.

Every picture changes by the whole strength; the direction alone is random.

Shapes: B samples, C channels, H rows and W columns of pixels.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from limbeck.data.affine import resample
from limbeck.robustness.blur import moved
from limbeck.robustness.corruption import Corruption, side, sign


def _shift(pixels: Tensor, strength: float, numbers: Tensor) -> Tensor:
    angle, far = 2 * math.pi * numbers[:, 0].double(), strength * side(pixels)
    return resample(pixels, moved(angle.cos() * far, angle.sin() * far), "border")


def _rotate(pixels: Tensor, strength: float, numbers: Tensor) -> Tensor:
    angle = sign(numbers[:, 0]).double() * math.radians(strength)
    return _linear(pixels, angle.cos(), -angle.sin(), angle.sin(), angle.cos())


def _scale(pixels: Tensor, strength: float, numbers: Tensor) -> Tensor:
    factor = strength ** sign(numbers[:, 0]).double()
    return _linear(pixels, factor, torch.zeros_like(factor), torch.zeros_like(factor), factor)


def _shear(pixels: Tensor, strength: float, numbers: Tensor) -> Tensor:
    slope = sign(numbers[:, 0]).double() * strength
    one, zero = torch.ones_like(slope), torch.zeros_like(slope)
    return _linear(pixels, one, slope, zero, one)


def _linear(pixels: Tensor, xx: Tensor, xy: Tensor, yx: Tensor, yy: Tensor) -> Tensor:
    """Take the pixel (x, y) from (xx x + xy y, yx x + yy y), counted from the middle; float64 [B] each."""
    zero = torch.zeros_like(xx)
    return resample(pixels, torch.stack([xx, xy, zero, yx, yy, zero], dim=1).view(-1, 2, 3), "border")


GEOMETRY = (
    Corruption("shift", "geometry", (0.04, 0.08, 0.12, 0.16, 0.20), "distance, share of the side", 1, _shift),
    Corruption("rotate", "geometry", (6, 12, 18, 24, 32), "degrees", 1, _rotate),
    Corruption("scale", "geometry", (1.1, 1.2, 1.3, 1.45, 1.6), "times as large or as small", 1, _scale),
    Corruption("shear", "geometry", (0.1, 0.2, 0.3, 0.4, 0.5), "slope", 1, _shear),
)
