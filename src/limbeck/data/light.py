"""Views that change how light a picture is, the whole batch at once.

Shapes: B samples, C channels, H rows and W columns of pixels, which stay within 0..1.
"""

from __future__ import annotations

import torch
from torch import Tensor

from limbeck.data.views import Transform, picture_shape
from limbeck.errors import DataError

LEVELS = 2**16


class Brightness(Transform):
    """Multiply all pixels of each picture by one factor; every factor is equally likely.

    share: the largest change, 0 to 1; 0.2 is from 0.8 to 1.2 times as bright.
    """

    draws = 1

    def __init__(self, share: float = 0.2) -> None:
        self.share = _checked("brightness", share)

    def __call__(self, inputs: Tensor, numbers: Tensor) -> Tensor:
        """Change inputs [B, C, H, W]; what becomes brighter than 1 is 1."""
        picture_shape(inputs, "brightness")
        return (inputs * _factor(numbers, self.share)).clamp_(0, 1)


class Contrast(Transform):
    """Move all pixels of each picture away from its mean, or towards it; every factor is equally likely.

    share: the largest change, 0 to 1; 0.2 is from 0.8 to 1.2 times the contrast.
    """

    draws = 1

    def __init__(self, share: float = 0.2) -> None:
        self.share = _checked("contrast", share)

    def __call__(self, inputs: Tensor, numbers: Tensor) -> Tensor:
        """Change inputs [B, C, H, W] about the mean of all their pixels, and keep them within 0..1."""
        picture_shape(inputs, "contrast")
        middle = (channel_sums(inputs).sum(1) / (LEVELS * inputs[0].numel())).to(inputs.dtype)[:, None, None, None]
        return ((inputs - middle) * _factor(numbers, self.share)).add_(middle).clamp_(0, 1)


def channel_means(inputs: Tensor) -> Tensor:
    """Return the mean [B, C] of each channel of pictures [B, C, H, W], the same in any batch."""
    return (channel_sums(inputs) / (LEVELS * inputs.shape[2] * inputs.shape[3])).to(inputs.dtype)


def channel_sums(inputs: Tensor) -> Tensor:
    """Return float64 [B, C], the sums of pixels in steps of 2^-16.

    Whole numbers are added, because a sum of floats depends on its order, and that on the size of the batch.
    """
    return (inputs * LEVELS).round_().to(torch.int32).sum((2, 3)).double()


def _factor(numbers: Tensor, share: float) -> Tensor:
    return (1 + (2 * numbers[:, 0] - 1) * share)[:, None, None, None]


def _checked(name: str, share: float) -> float:
    if not 0 <= share <= 1:
        raise DataError(f"{name}: share must be between 0 and 1, but it is {share}.")
    return share
