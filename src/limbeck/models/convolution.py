"""What the convolutional networks of the literature share: their convolution, and the pictures they take."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from limbeck.errors import ModelError

LEAST = 8  # pixels of a side: three resolutions leave 2 x 2, enough for batch norm on a single picture


def convolution(inputs: int, outputs: int, size: int = 3, *, stride: int = 1, bias: bool = False) -> nn.Conv2d:
    """Return a convolution [B, inputs, H, W] to [B, outputs, H / stride, W / stride], sides rounded up.

    size: of the kernel, odd. Weights are drawn with variance 2 / (outputs * size^2) (He et al. 2015, counting
    outputs), a bias starts at 0.
    """
    layer = nn.Conv2d(inputs, outputs, size, stride=stride, padding=size // 2, bias=bias)
    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def channels_of(shape: Sequence[int], name: str) -> int:
    """Return the channels of pictures (channels, height, width), at least 8 x 8.

    name: of the architecture, for the ModelError that other samples raise.
    """
    if len(shape) != 3 or min(shape[1:]) < LEAST:
        raise ModelError(
            f"{name} expects pictures [channels, height, width] of at least {LEAST} x {LEAST} pixels, "
            f"got samples of shape {list(shape)}."
        )
    return shape[0]
