"""A small recurrent network of gated recurrent units (Cho et al. 2014)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

from limbeck.errors import ModelError

Width = Annotated[int, Field(ge=1)]
Depth = Annotated[int, Field(ge=1, le=6)]
Share = Annotated[float, Field(ge=0, lt=1)]


class GRU(nn.Module):
    """Gated recurrent units that read a sample step by step; the last state is classified.

    shape: (T, D), a sequence of T steps; or (channels, height, width), a picture read row by row from the top; or
    (D,), a vector read value by value. classes: C; width: units of each layer; depth: number of layers; dropout:
    between layers and before the head. Returns logits [B, C]. Raises ModelError for other shapes.
    """

    def __init__(
        self,
        shape: Sequence[int],
        classes: int,
        *,
        width: Width = 64,
        depth: Depth = 1,
        dropout: Share = 0.0,
    ) -> None:
        super().__init__()
        self.body = nn.GRU(_features(shape), width, depth, batch_first=True, dropout=dropout if depth > 1 else 0.0)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(width, classes)

    def forward(self, inputs: Tensor) -> Tensor:
        """Map inputs [B, *shape] to logits [B, C]."""
        states, _ = self.body(_steps(inputs))
        logits: Tensor = self.head(self.dropout(states[:, -1]))
        return logits


def _features(shape: Sequence[int]) -> int:
    """Return D, the numbers of one step."""
    if len(shape) == 3:
        return shape[0] * shape[2]
    if len(shape) == 2:
        return shape[1]
    if len(shape) == 1:
        return 1
    raise ModelError(
        f"gru expects sequences [steps, features], pictures [channels, height, width] or vectors [features], got "
        f"samples of shape {list(shape)}."
    )


def _steps(inputs: Tensor) -> Tensor:
    """Return the steps [B, T, D] of inputs [B, *shape]."""
    if inputs.ndim == 4:
        return inputs.transpose(1, 2).flatten(2)
    return inputs.unsqueeze(2) if inputs.ndim == 2 else inputs
