"""The residual network for small pictures (He et al. 2016, section 4.2), and its wide forms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, get_args

from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from limbeck.errors import ModelError
from limbeck.models.convolution import channels_of, convolution

Depth = Literal[8, 14, 20, 26, 32, 44, 56, 110]
Width = Annotated[int, Field(ge=1)]


class ResNet(nn.Module):
    """Three stages of residual blocks at full, half and quarter size, then a mean over space.

    shape: (channels, height, width), at least 8 x 8; classes: C; depth: layers with weights on the longest way,
    6n + 2 for n blocks a stage; width: channels of the first stage, doubled at each further one; stem: channels
    of the first convolution, those of the first stage if null. Where a block changes size, its shortcut is a
    1 x 1 convolution (option B of the paper, as the distillation literature has it). resnet8x4 of that
    literature is depth 8, width 64, stem 32. 272,474 parameters at depth 20 on RGB pictures with 10 classes.
    Returns logits [B, C]. Raises ModelError for other shapes and depths.
    """

    def __init__(
        self,
        shape: Sequence[int],
        classes: int,
        *,
        depth: Depth = 20,
        width: Width = 16,
        stem: Width | None = None,
    ) -> None:
        super().__init__()
        if depth not in get_args(Depth):
            raise ModelError(f"resnet expects a depth among {', '.join(map(str, get_args(Depth)))}, got {depth}.")
        channels = stem or width
        self.stem = nn.Sequential(
            convolution(channels_of(shape, "resnet"), channels), nn.BatchNorm2d(channels), nn.ReLU()
        )
        blocks: list[nn.Module] = []
        for stage in range(3):
            for block in range((depth - 2) // 6):
                stride = 2 if stage > 0 and block == 0 else 1
                blocks.append(Block(channels, width * 2**stage, stride))
                channels = width * 2**stage
        self.body = nn.Sequential(*blocks)
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(channels, classes)

    def forward(self, inputs: Tensor) -> Tensor:
        """Map pictures [B, channels, H, W] to logits [B, C]."""
        logits: Tensor = self.head(self.pool(self.body(self.stem(inputs))))
        return logits


class Block(nn.Module):
    """Two 3 x 3 convolutions with batch norm, added to what came in: [B, inputs, H, W] to [B, outputs, H/s, W/s].

    stride: s, of the first convolution and of the shortcut.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            convolution(inputs, outputs, stride=stride), nn.BatchNorm2d(outputs), nn.ReLU(),
            convolution(outputs, outputs), nn.BatchNorm2d(outputs),
        )  # fmt: skip
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(convolution(inputs, outputs, 1, stride=stride), nn.BatchNorm2d(outputs))

    def forward(self, inputs: Tensor) -> Tensor:
        """Return relu(residual + shortcut)."""
        return functional.relu(self.residual(inputs) + self.shortcut(inputs))
