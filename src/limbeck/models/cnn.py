"""A plain convolutional network for pictures of any size from 8 x 8 up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

from limbeck.errors import ModelError

Width = Annotated[int, Field(ge=1)]
Depth = Annotated[int, Field(ge=1, le=6)]
Share = Annotated[float, Field(ge=0, lt=1)]


class CNN(nn.Module):
    """Stages of two 3 x 3 convolutions with batch norm and ReLU, halved between stages, then a mean over space.

    shape: (channels, height, width) of a picture; classes: C; width: channels of the first stage, doubled at
    each further one; depth: number of stages; dropout: share dropped before the head. Returns logits [B, C].
    """

    def __init__(
        self,
        shape: Sequence[int],
        classes: int,
        *,
        width: Width = 32,
        depth: Depth = 2,
        dropout: Share = 0.0,
    ) -> None:
        super().__init__()
        if len(shape) != 3 or min(shape[1:]) < 2**depth:
            raise ModelError(
                f"cnn with depth {depth} expects pictures [channels, height, width] of at least "
                f"{2**depth} x {2**depth} pixels, got samples of shape {list(shape)}."
            )
        channels = shape[0]
        stages: list[nn.Module] = []
        for stage in range(depth):
            stages += [_block(channels, width * 2**stage), _block(width * 2**stage, width * 2**stage)]
            stages.append(nn.MaxPool2d(2))
            channels = width * 2**stage
        self.body = nn.Sequential(*stages)
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(dropout))
        self.head = nn.Linear(channels, classes)

    def forward(self, inputs: Tensor) -> Tensor:
        """Map pictures [B, channels, H, W] to logits [B, C]."""
        logits: Tensor = self.head(self.pool(self.body(inputs)))
        return logits


def _block(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU())
