"""Mean and standard deviation of samples, for a model's normalisation."""

from __future__ import annotations

import torch
from torch import Tensor

from limbeck.data.mapped import chunks
from limbeck.data.samples import Samples

CONSTANT = 1e-6


def mean_and_std(samples: Samples, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and population deviation over rows (int64 [R]), float32; images [C], others one sample's shape.

    A deviation below 1e-6 is given as 1, so that dividing by it leaves a constant feature at 0.
    """
    if samples.inputs.dtype == torch.uint8:
        mean, variance = _from_histogram(samples.inputs, rows)
    else:
        mean, variance = _from_values(samples.inputs, rows)
    std = variance.sqrt()
    return mean.float(), torch.where(std < CONSTANT, torch.ones_like(std), std).float()


def _from_histogram(inputs: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Exact moments [C] of uint8 [N, C, H, W] on the 0..1 scale, by counting the 256 levels."""
    counts = torch.zeros(inputs.shape[1], 256, dtype=torch.float64)
    for chunk in chunks(inputs, rows):
        for channel, pixels in enumerate(chunk.unbind(1)):
            counts[channel] += torch.bincount(pixels.flatten(), minlength=256).cpu()
    share = counts / counts.sum(dim=1, keepdim=True)
    levels = torch.arange(256, dtype=torch.float64) / 255
    mean = share @ levels
    return mean, (share * (levels - mean[:, None]).square()).sum(dim=1)


def _from_values(inputs: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Moments in float64 of float [N, C, H, W] over N, H and W, or of [N, ...] over N."""
    axes = [0, 2, 3] if inputs.ndim == 4 else [0]
    count = len(rows) * (inputs[0, 0].numel() if inputs.ndim == 4 else 1)
    shape = inputs.shape[1:2] if inputs.ndim == 4 else inputs.shape[1:]
    mean, variance = torch.zeros(2, *shape, dtype=torch.float64)
    for chunk in chunks(inputs, rows):
        mean += chunk.cpu().double().sum(axes) / count
    middle = mean[:, None, None] if inputs.ndim == 4 else mean
    for chunk in chunks(inputs, rows):
        variance += (chunk.cpu().double() - middle).square().sum(axes) / count
    return mean, variance
