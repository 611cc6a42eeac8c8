"""Random erasing (Zhong et al. 2020, arXiv:1708.04896), the whole batch at once.

Shapes: B samples, C channels, H rows and W columns of pixels.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from limbeck.data.light import channel_means
from limbeck.data.views import Transform, picture_shape
from limbeck.errors import DataError

LONGEST = 3.0  # sides of a rectangle, one over the other


class Erase(Transform):
    """Cover a rectangle of each picture, anywhere within it, up to three times as wide as tall or as tall as wide.

    share: the largest share of the picture's area that is covered, above 0, at most 1; every share below it is equally
    likely, and one pixel the least.
    fill: what the rectangle becomes, 0 or the picture's own mean of each channel.
    """

    draws = 4

    def __init__(self, share: float = 0.25, fill: Literal["zero", "mean"] = "zero") -> None:
        if not 0 < share <= 1:
            raise DataError(f"erase: share must be above 0 and at most 1, but it is {share}.")
        if fill not in ("zero", "mean"):
            raise DataError(f'erase: fill must be "zero" or "mean", but it is {fill!r}.')
        self.share, self.fill = share, fill

    def __call__(self, inputs: Tensor, numbers: Tensor) -> Tensor:
        """Cover rectangles of inputs [B, C, H, W]: area, shape and place follow from numbers [B, 4]."""
        _, _, height, width = picture_shape(inputs, "erase")
        area, wider, right, down = numbers.double().unbind(1)
        area, wider = area * self.share * height * width, ((2 * wider - 1) * math.log(LONGEST)).exp()
        columns = _within((area * wider).sqrt(), right, width)
        rows = _within((area / wider).sqrt(), down, height)
        covered = rows[:, None, :, None] & columns[:, None, None, :]
        fill = channel_means(inputs)[:, :, None, None] if self.fill == "mean" else torch.zeros_like(inputs[:1, :1])
        return torch.where(covered, fill, inputs)


def _within(length: Tensor, place: Tensor, size: int) -> Tensor:
    """Return bool [B, size]: the places from a start on, for a length of whole pixels; place: [B], 0..1."""
    length = length.round().clamp(1, size)
    start = (place * (size - length + 1)).floor()
    every = torch.arange(size, device=length.device)
    return (every >= start[:, None]) & (every < (start + length)[:, None])
