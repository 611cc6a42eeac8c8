"""Views that turn or scale a picture about its middle, the whole batch at once.

Shapes: B samples, C channels, H rows and W columns of pixels. Pixels are resampled bilinearly; what comes from
outside the picture is 0.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from limbeck.data.views import Transform, picture_shape
from limbeck.errors import DataError


class Rotate(Transform):
    """Turn each picture about its middle, to either side.

    degrees: the largest turn, 0 to 180.
    """

    draws = 1

    def __init__(self, degrees: float = 10.0) -> None:
        if not 0 <= degrees <= 180:
            raise DataError(f"rotate: degrees must be between 0 and 180, but it is {degrees}.")
        self.degrees = degrees

    def __call__(self, inputs: Tensor, numbers: Tensor) -> Tensor:
        """Turn inputs [B, C, H, W]; every angle is equally likely."""
        picture_shape(inputs, "rotate")
        angle = (2 * numbers[:, 0] - 1) * math.radians(self.degrees)
        return _resample(inputs, angle.cos(), angle.sin())


class Scale(Transform):
    """Make each picture larger or smaller about its middle.

    share: the largest change of its sides, 0 or more and below 1; 0.1 is from 0.9 to 1.1 times the size.
    """

    draws = 1

    def __init__(self, share: float = 0.1) -> None:
        if not 0 <= share < 1:
            raise DataError(f"scale: share must be 0 or more and below 1, but it is {share}.")
        self.share = share

    def __call__(self, inputs: Tensor, numbers: Tensor) -> Tensor:
        """Scale inputs [B, C, H, W]; every factor is equally likely."""
        picture_shape(inputs, "scale")
        factor = 1 + (2 * numbers[:, 0] - 1) * self.share
        return _resample(inputs, 1 / factor, torch.zeros_like(factor))


def _resample(inputs: Tensor, along: Tensor, across: Tensor) -> Tensor:
    """Take the pixel (x, y), counted from the middle, from (along x - across y, across x + along y); both [B]."""
    height, width = inputs.shape[2:]
    y = (torch.arange(height, device=inputs.device) - (height - 1) / 2)[None, :, None]
    x = (torch.arange(width, device=inputs.device) - (width - 1) / 2)[None, None, :]
    along, across = along[:, None, None], across[:, None, None]
    places = torch.stack([2 * (along * x - across * y) / width, 2 * (across * x + along * y) / height], dim=3)
    return F.grid_sample(inputs, places.to(inputs.dtype), padding_mode="zeros", align_corners=False)
