"""Layers that see what they saw in training (DeepInversion, Yin et al. 2020).

Shapes: B samples, K channels of a layer's input, anything in space.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

Moments = Mapping[str, tuple[Tensor, Tensor]]
"""By layer: mean [K] and variance [K] of what goes into it."""


def moments_of(inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and biased variance [K] of a layer's inputs [B, K] or [B, K, *space], over all but the channels."""
    others = [dimension for dimension in range(inputs.ndim) if dimension != 1]
    variance, mean = torch.var_mean(inputs, dim=others, correction=0)
    return mean, variance


def batch_norm(heard: Mapping[str, Tensor], wanted: Moments) -> Tensor:
    """Return the L2 distance between the batch's moments and the known ones, of means and of variances, summed over
    layers.

    heard: what went into each layer, [B, K, ...]; wanted: of those layers, one at least.
    """
    gaps = []
    for name, (mean, variance) in wanted.items():
        found = moments_of(heard[name])
        gaps.append(torch.linalg.vector_norm(found[0] - mean) + torch.linalg.vector_norm(found[1] - variance))
    return torch.stack(gaps).sum()
