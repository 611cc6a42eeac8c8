"""Noise that stands in for samples: what a generated sample must be better than.

Shapes: N real samples, n of noise.
"""

from __future__ import annotations

import torch
from torch import Tensor

from limbeck.synthesis.frame import Frame


def gaussian_noise(frame: Frame, count: int, generator: torch.Generator) -> Tensor:
    """Return n samples of normal numbers with the frame's mean and deviation, pictures cut to 0..1."""
    drawn = torch.randn(count, *frame.shape, generator=generator)
    samples = frame.spread(frame.mean.cpu()) + frame.spread(frame.std.cpu()) * drawn
    return samples.clamp(0, 1) if frame.pictures else samples


def uniform_noise(frame: Frame, count: int, generator: torch.Generator) -> Tensor:
    """Return n samples of equally likely numbers: 0..1 for pictures, else with the frame's mean and deviation."""
    drawn = torch.rand(count, *frame.shape, generator=generator)
    if frame.pictures:
        return drawn
    return frame.spread(frame.mean.cpu()) + frame.spread(frame.std.cpu()) * (drawn - 0.5) * 12**0.5


def matched_noise(real: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Return n samples, each value drawn by itself from the values at its place in real samples [N, ...].

    The strongest noise without a generator: every pixel is distributed as in real pictures, and no two are related.
    """
    flat = real.flatten(1)
    rows = torch.randint(len(flat), (count, flat.shape[1]), generator=generator)
    return flat.gather(0, rows).view(count, *real.shape[1:])
