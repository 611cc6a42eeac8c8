"""How much arithmetic a model does."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from limbeck.models.adapt import Adapted


def multiply_adds(model: Adapted, inputs: Tensor) -> int:
    """Return the multiply-adds of one sample: matrix products and convolutions; inputs: [B, ...]."""
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        model(inputs)
    total: int = counter.get_total_flops()
    return total // 2 // len(inputs)
