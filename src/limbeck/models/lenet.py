"""LeNet-5 (LeCun et al. 1998) in its ReLU and max-pooling form, and its half."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

from limbeck.errors import ModelError

Width = Annotated[int, Field(ge=1)]


class LeNet5(nn.Module):
    """Two 5 x 5 convolutions and three linear layers; 61,706 parameters on 28 x 28 grey pictures, 10 classes.

    shape: (channels, height, width), at least 12 x 12; classes: C; widths: channels of the two
    convolutions and units of the two hidden layers. Returns logits [B, C].
    """

    def __init__(
        self,
        shape: Sequence[int],
        classes: int,
        *,
        widths: tuple[Width, Width, Width, Width] = (6, 16, 120, 84),
    ) -> None:
        super().__init__()
        if len(shape) != 3 or min(shape[1:]) < 12:
            raise ModelError(
                f"lenet5 expects pictures [channels, height, width] of at least 12 x 12 pixels, got samples of "
                f"shape {list(shape)}."
            )
        channels, height, width = shape
        first, second, third, fourth = widths
        self.body = nn.Sequential(
            nn.Conv2d(channels, first, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(first, second, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
            nn.Linear(second * _side(height) * _side(width), third), nn.ReLU(),
            nn.Linear(third, fourth), nn.ReLU(),
        )  # fmt: skip
        self.head = nn.Linear(fourth, classes)

    def forward(self, inputs: Tensor) -> Tensor:
        """Map pictures [B, channels, H, W] to logits [B, C]."""
        logits: Tensor = self.head(self.body(inputs))
        return logits


class LeNet5_Half(LeNet5):  # noqa: N801
    """LeNet-5 with half the width everywhere: 15,738 parameters on 28 x 28 grey pictures, 10 classes."""

    def __init__(self, shape: Sequence[int], classes: int) -> None:
        super().__init__(shape, classes, widths=(3, 8, 60, 42))


def _side(pixels: int) -> int:
    return (pixels // 2 - 4) // 2
