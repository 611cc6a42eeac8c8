"""One linear layer: the smallest student there is."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor, nn


class Linear(nn.Module):
    """Logistic regression on the flattened sample.

    shape: of one sample, such as (1, 28, 28); classes: C. Returns logits [B, C].
    """

    def __init__(self, shape: Sequence[int], classes: int) -> None:
        super().__init__()
        self.head = nn.Linear(math.prod(shape), classes)

    def forward(self, inputs: Tensor) -> Tensor:
        """Map inputs [B, *shape] to logits [B, C]."""
        logits: Tensor = self.head(inputs.flatten(1))
        return logits
