"""Views that turn, scale or crop a picture: the whole batch is resampled at once.

Those that follow one another are one resampling by the product of their matrices. That blurs a picture once, and
shows what a crop cut off where a later turn looks at it. Pixels are resampled bilinearly; what comes from outside
the picture is 0.

Shapes: B samples, C channels, H rows and W columns of pixels.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from limbeck.data.views import Transform, picture_shape
from limbeck.errors import DataError


class Affine(Transform):
    """A transform that takes each pixel from a place that is a linear function of its own."""

    @abstractmethod
    def matrix(self, numbers: Tensor, height: int, width: int) -> Tensor:
        """Return float64 [B, 2, 3]: where the pixel (x, y, 1) comes from, both in pixels from the middle.

        numbers: float64 [B, R] in 0 <= u < 1.
        """

    def then(self, later: Transform) -> Transform | None:
        """Return one transform that does this one and the later one in a single resampling."""
        return Composed(self, later) if isinstance(later, Affine) else None

    def __call__(self, inputs: Tensor, numbers: Tensor) -> Tensor:
        """Resample inputs [B, C, H, W]."""
        _, _, height, width = picture_shape(inputs, type(self).__name__.lower())
        return resample(inputs, self.matrix(numbers.double(), height, width))


class Composed(Affine):
    """Two affine transforms as one."""

    def __init__(self, first: Affine, second: Affine) -> None:
        self.first, self.second = first, second
        self.draws = first.draws + second.draws

    def matrix(self, numbers: Tensor, height: int, width: int) -> Tensor:
        """Return the product: a pixel's place in the result of the first, and from there its place in the picture."""
        first = self.first.matrix(numbers[:, : self.first.draws], height, width)
        second = self.second.matrix(numbers[:, self.first.draws :], height, width)
        product = (first[:, :, :2, None] * second[:, None]).sum(2)  # two summands, so exact in any order
        product[:, :, 2] += first[:, :, 2]
        return product


class Rotate(Affine):
    """Turn each picture about its middle, to either side; every angle is equally likely.

    degrees: the largest turn, 0 to 180.
    """

    draws = 1

    def __init__(self, degrees: float = 10.0) -> None:
        if not 0 <= degrees <= 180:
            raise DataError(f"rotate: degrees must be between 0 and 180, but it is {degrees}.")
        self.degrees = degrees

    def matrix(self, numbers: Tensor, height: int, width: int) -> Tensor:
        """Return the turn by (2 u - 1) degrees."""
        angle = (2 * numbers[:, 0] - 1) * math.radians(self.degrees)
        cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
        return torch.stack([cos, -sin, zero, sin, cos, zero], dim=1).view(-1, 2, 3)


class Scale(Affine):
    """Make each picture larger or smaller about its middle; every factor is equally likely.

    share: the largest change of its sides, 0 or more and below 1; 0.1 is from 0.9 to 1.1 times the size.
    """

    draws = 1

    def __init__(self, share: float = 0.1) -> None:
        if not 0 <= share < 1:
            raise DataError(f"scale: share must be 0 or more and below 1, but it is {share}.")
        self.share = share

    def matrix(self, numbers: Tensor, height: int, width: int) -> Tensor:
        """Return the scaling by 1 + (2 u - 1) share."""
        factor = 1 / (1 + (2 * numbers[:, 0] - 1) * self.share)
        return _diagonal(factor, factor, torch.zeros_like(factor), torch.zeros_like(factor))


class Crop(Affine):
    """Cut a window out of each picture and bring it back to the picture's size.

    The window lies anywhere within the picture, every share of area between the smallest and 1 equally likely; it is
    measured between the middles of the outer pixels, so nothing is taken from outside.
    area: the smallest share of the picture's area that a window has, above 0, at most 1.
    aspect: how many times as wide or as tall as the picture's shape a window may be, 1 or more.
    """

    draws = 4

    def __init__(self, area: float = 0.5, aspect: float = 1.0) -> None:
        if not 0 < area <= 1:
            raise DataError(f"crop: area must be above 0 and at most 1, but it is {area}.")
        if not aspect >= 1:
            raise DataError(f"crop: aspect must be 1 or more, but it is {aspect}.")
        self.area, self.aspect = area, aspect

    def matrix(self, numbers: Tensor, height: int, width: int) -> Tensor:
        """Return the window's size and place."""
        area = self.area + numbers[:, 0] * (1 - self.area)
        wider = ((2 * numbers[:, 1] - 1) * math.log(self.aspect)).exp()
        wide, tall = (area * wider).sqrt().clamp(max=1), (area / wider).sqrt().clamp(max=1)
        right = (2 * numbers[:, 2] - 1) * (1 - wide) * (width - 1) / 2
        down = (2 * numbers[:, 3] - 1) * (1 - tall) * (height - 1) / 2
        return _diagonal(wide, tall, right, down)


def _diagonal(x: Tensor, y: Tensor, right: Tensor, down: Tensor) -> Tensor:
    zero = torch.zeros_like(x)
    return torch.stack([x, zero, right, zero, y, down], dim=1).view(-1, 2, 3)


def resample(inputs: Tensor, matrix: Tensor, outside: Literal["zeros", "border"] = "zeros") -> Tensor:
    """Take each pixel of inputs [B, C, H, W] from where the matrix, float64 [B, 2, 3], says; see `Affine.matrix`.

    outside: what lies around the picture, 0 or its outermost pixels again.
    The grid is laid out plane by plane, x before y, which is much faster to make than pairs.
    """
    height, width = inputs.shape[2:]
    units = torch.tensor([[2 / width], [2 / height]], dtype=matrix.dtype, device=matrix.device)
    matrix = (matrix * units).to(inputs.dtype)  # grid_sample counts from -1 to 1, edge to edge
    x = torch.arange(width, device=inputs.device) - (width - 1) / 2
    y = torch.arange(height, device=inputs.device) - (height - 1) / 2
    along = (matrix[:, :, :1] * x)[:, :, None, :]
    down = (matrix[:, :, 1:2] * y + matrix[:, :, 2:])[:, :, :, None]
    places = (along + down).permute(0, 2, 3, 1)
    return F.grid_sample(inputs, places, padding_mode=outside, align_corners=False)
