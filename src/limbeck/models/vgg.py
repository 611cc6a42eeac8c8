"""VGG with batch norm for small pictures (Simonyan and Zisserman 2015), in the form of the distillation literature."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn

from limbeck.errors import ModelError
from limbeck.models.convolution import channels_of, convolution

Depth = Literal[8, 13]
WIDTHS = (64, 128, 256, 512, 512)
REPEATS = {8: 1, 13: 2}  # convolutions of each width
LEAST_SIDE = 3


class VGG(nn.Module):
    """Five groups of 3 x 3 convolutions with batch norm and ReLU, then a mean over space and one linear layer.

    shape: (channels, height, width), at least 8 x 8; classes: C; depth: 8, or 13 (vgg13's ten convolutions). The
    picture is halved after each of the first four groups as long as 3 x 3 pixels are left: three times at
    32 x 32, four times at 64 x 64, as published. The convolutions keep the biases that their batch norm makes
    idle, so that parameters equal the published 3,965,028 and 9,462,180 (RGB, 100 classes); such a bias has a
    gradient of 0 up to rounding. Returns logits [B, C]. Raises ModelError for other shapes and depths.
    """

    def __init__(self, shape: Sequence[int], classes: int, *, depth: Depth = 8) -> None:
        super().__init__()
        if depth not in REPEATS:
            raise ModelError(f"vgg expects a depth among {', '.join(map(str, REPEATS))}, got {depth}.")
        channels = channels_of(shape, "vgg")
        side = min(shape[1:])
        layers: list[nn.Module] = []
        for group, width in enumerate(WIDTHS):
            for _ in range(REPEATS[depth]):
                layers += [convolution(channels, width, bias=True), nn.BatchNorm2d(width), nn.ReLU()]
                channels = width
            if group < 4 and side // 2 >= LEAST_SIDE:
                layers.append(nn.MaxPool2d(2))
                side //= 2
        self.body = nn.Sequential(*layers)
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(channels, classes)

    def forward(self, inputs: Tensor) -> Tensor:
        """Map pictures [B, channels, H, W] to logits [B, C]."""
        logits: Tensor = self.head(self.pool(self.body(inputs)))
        return logits
