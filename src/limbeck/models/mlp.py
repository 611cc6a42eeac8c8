"""A multi-layer perceptron on the flattened sample."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

Width = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, lt=1)]


class MLP(nn.Module):
    """Fully connected layers with ReLU between them.

    shape: of one sample; classes: C; hidden: units of each hidden layer; dropout: share of hidden units
    dropped in training; input_dropout: share of inputs dropped in training. Returns logits [B, C].
    """

    def __init__(
        self,
        shape: Sequence[int],
        classes: int,
        *,
        hidden: Sequence[Width] = (64,),
        dropout: Share = 0.0,
        input_dropout: Share = 0.0,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Flatten()]
        if input_dropout:
            layers.append(nn.Dropout(input_dropout))
        width = math.prod(shape)
        for units in hidden:
            layers += [nn.Linear(width, units), nn.ReLU()]
            if dropout:
                layers.append(nn.Dropout(dropout))
            width = units
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(width, classes)

    def forward(self, inputs: Tensor) -> Tensor:
        """Map inputs [B, *shape] to logits [B, C]."""
        logits: Tensor = self.head(self.body(inputs))
        return logits
