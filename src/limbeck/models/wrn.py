"""The wide residual network (Zagoruyko and Komodakis 2016)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, get_args

from pydantic import Field
from torch import Tensor, nn

from limbeck.errors import ModelError
from limbeck.models.convolution import channels_of, convolution

Depth = Literal[10, 16, 22, 28, 34, 40]
Width = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, lt=1)]
STEM = 16


class WRN(nn.Module):
    """A residual network that is wide instead of deep, with batch norm and ReLU before each convolution.

    shape: (channels, height, width), at least 8 x 8; classes: C; depth: 6n + 4 for n blocks in each of the
    three stages; width: k, the stages have 16k, 32k and 64k channels; dropout: between the two convolutions of a
    block. WRN-40-2 is depth 40, width 2. Returns logits [B, C]. Raises ModelError for other shapes and depths.
    """

    def __init__(
        self, shape: Sequence[int], classes: int, *, depth: Depth = 16, width: Width = 1, dropout: Share = 0.0
    ) -> None:
        super().__init__()
        if depth not in get_args(Depth):
            raise ModelError(f"wrn expects a depth among {', '.join(map(str, get_args(Depth)))}, got {depth}.")
        self.stem = convolution(channels_of(shape, "wrn"), STEM)
        channels = STEM
        blocks: list[nn.Module] = []
        for stage in range(3):
            for block in range((depth - 4) // 6):
                stride = 2 if stage > 0 and block == 0 else 1
                blocks.append(PreActivationBlock(channels, STEM * width * 2**stage, stride, dropout))
                channels = STEM * width * 2**stage
        self.body = nn.Sequential(*blocks, nn.BatchNorm2d(channels), nn.ReLU())
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(channels, classes)

    def forward(self, inputs: Tensor) -> Tensor:
        """Map pictures [B, channels, H, W] to logits [B, C]."""
        logits: Tensor = self.head(self.pool(self.body(self.stem(inputs))))
        return logits


class PreActivationBlock(nn.Module):
    """Norm, ReLU, convolution, twice, added to what came in: [B, inputs, H, W] to [B, outputs, H/s, W/s].

    Where the number of channels changes, the shortcut is a 1 x 1 convolution of the activated input.
    stride: s; dropout: share 0..1 of activations dropped before the second convolution.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, dropout: float) -> None:
        super().__init__()
        self.activate = nn.Sequential(nn.BatchNorm2d(inputs), nn.ReLU())
        self.residual = nn.Sequential(
            convolution(inputs, outputs, stride=stride), nn.BatchNorm2d(outputs), nn.ReLU(),
            nn.Dropout(dropout), convolution(outputs, outputs),
        )  # fmt: skip
        self.shortcut = convolution(inputs, outputs, 1, stride=stride) if inputs != outputs else None

    def forward(self, inputs: Tensor) -> Tensor:
        """Return residual + shortcut, not activated."""
        active = self.activate(inputs)
        shortcut = inputs if self.shortcut is None else self.shortcut(active)
        outputs: Tensor = shortcut + self.residual(active)
        return outputs
