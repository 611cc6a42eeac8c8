"""How near generated samples lie to real ones: what a sample may give away.

Shapes: A samples, N others, D values of each.
"""

from __future__ import annotations

import torch
from torch import Tensor

AT_ONCE = 256


def nearest(samples: Tensor, others: Tensor) -> Tensor:
    """Return the Euclidean distance from each of samples [A, ...] to the nearest of others [N, ...]: float32 [A]."""
    rows, flat = samples.float().flatten(1), others.float().flatten(1)
    return torch.cat([torch.cdist(part, flat).amin(1) for part in torch.split(rows, AT_ONCE)])
