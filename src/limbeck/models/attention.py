"""A small transformer encoder (Vaswani et al. 2017) over patches of a picture or over the steps of a sequence.

Shapes: B samples, T tokens, E channels of a token (width), N heads, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from limbeck.errors import ModelError

Count = Annotated[int, Field(ge=1)]
Depth = Annotated[int, Field(ge=1, le=24)]
Share = Annotated[float, Field(ge=0, lt=1)]


class Attention(nn.Module):
    """Tokens that look at each other: a pre-norm transformer encoder with a mean over tokens before the head.

    shape: (channels, height, width), a picture cut into patches (Dosovitskiy et al. 2021), zeros at the right and
    the bottom where they do not fit; or (T, D), a sequence, each step a token; or (D,), a vector, each value a
    token. classes: C; width: E, channels of a token; depth: layers; heads: N, a divisor of width; patch: side of a
    patch in pixels; dropout: of what each layer adds. Positions are learned. Returns logits [B, C]. Raises
    ModelError for other shapes and where heads does not divide width.
    """

    def __init__(
        self,
        shape: Sequence[int],
        classes: int,
        *,
        width: Count = 64,
        depth: Depth = 2,
        heads: Count = 4,
        patch: Count = 4,
        dropout: Share = 0.0,
    ) -> None:
        super().__init__()
        if width % heads:
            raise ModelError(f"attention expects a width that heads divides, got width {width} and {heads} heads.")
        count, self.tokens = _tokens(shape, width, patch)
        self.position = nn.Parameter(torch.randn(count, width) * 0.02)
        self.body = nn.Sequential(*[Layer(width, heads, dropout) for _ in range(depth)], nn.LayerNorm(width))
        self.head = nn.Linear(width, classes)

    def forward(self, inputs: Tensor) -> Tensor:
        """Map inputs [B, *shape] to logits [B, C]."""
        encoded = self.body(self.tokens(inputs) + self.position)
        logits: Tensor = self.head(encoded.mean(dim=1))
        return logits


class Layer(nn.Module):
    """Self-attention and a two-layer perceptron, each with layer norm before and added to its input: [B, T, E].

    The projections to queries, keys and values have no bias (that of the keys could not change anything).
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.before_attention, self.before_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.project = nn.Linear(width, 3 * width, bias=False)
        self.merge = nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return tokens [B, T, E] that have seen each other."""
        tokens = tokens + self.dropout(self._attend(self.before_attention(tokens)))
        seen: Tensor = tokens + self.dropout(self.mlp(self.before_mlp(tokens)))
        return seen

    def _attend(self, tokens: Tensor) -> Tensor:
        queries, keys, values = (
            part.unflatten(2, (self.heads, -1)).transpose(1, 2) for part in self.project(tokens).chunk(3, dim=2)
        )  # [B, N, T, E / N] each
        seen = functional.scaled_dot_product_attention(queries, keys, values)
        merged: Tensor = self.merge(seen.transpose(1, 2).flatten(2))
        return merged


def _tokens(shape: Sequence[int], width: int, patch: int) -> tuple[int, nn.Module]:
    """Return T, and what turns inputs [B, *shape] into tokens [B, T, E]."""
    if len(shape) == 3:
        channels, rows, columns = shape
        fill = nn.ZeroPad2d((0, -columns % patch, 0, -rows % patch))
        cut = nn.Conv2d(channels, width, patch, stride=patch)
        count = -(-rows // patch) * -(-columns // patch)
        return count, nn.Sequential(fill, cut, nn.Flatten(2), Swap())
    if len(shape) == 2:
        return shape[0], nn.Linear(shape[1], width)
    if len(shape) == 1:
        return shape[0], nn.Sequential(nn.Unflatten(1, (shape[0], 1)), nn.Linear(1, width))
    raise ModelError(
        f"attention expects sequences [steps, features], pictures [channels, height, width] or vectors [features], "
        f"got samples of shape {list(shape)}."
    )


class Swap(nn.Module):
    """Patches last, [B, E, T], to tokens [B, T, E]."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Return inputs with the last two dimensions exchanged."""
        return inputs.transpose(1, 2)
