"""Networks that make samples of numbers.

Shapes: B samples, Z latent numbers, K channels, H rows and W columns of pixels, D features of a vector, C classes.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from limbeck.synthesis.frame import Frame

LEAST_SIDE = 4  # pixels that a picture grows from
SLOPE = 0.2


class PictureGenerator(nn.Module):
    """From Z numbers to pictures [B, K, H, W] in 0..1 of any size, doubled step by step from 4 to 7 pixels a side.

    frame: of the pictures; latent: Z; width: channels at half of the final size, doubled at a quarter and kept from
    there.
    """

    def __init__(self, frame: Frame, latent: int, width: int) -> None:
        super().__init__()
        channels, height, width_of_picture = frame.shape
        doublings = max(0, int(math.log2(min(height, width_of_picture) / LEAST_SIDE)))
        self.frame, self.doublings = frame, doublings
        self.start = (math.ceil(height / 2**doublings), math.ceil(width_of_picture / 2**doublings))
        wide = [width * (2 if left else 1) for left in reversed(range(max(doublings, 1)))]
        self.first = nn.Linear(latent, wide[0] * math.prod(self.start), bias=False)
        self.norm = nn.BatchNorm2d(wide[0])
        self.blocks = nn.ModuleList(
            _block(wide[number], wide[min(number + 1, len(wide) - 1)]) for number in range(doublings)
        )
        self.last = nn.Conv2d(wide[-1], channels, 3, padding=1)

    def forward(self, latents: Tensor) -> Tensor:
        """Make pictures [B, K, H, W] of latents [B, Z]."""
        maps = functional.leaky_relu(self.norm(self.first(latents).unflatten(1, (-1, *self.start))), SLOPE)
        for block in self.blocks:
            maps = block(functional.interpolate(maps, scale_factor=2))
        height, width = self.frame.shape[1:]
        return self.frame.fill(self.last(maps[..., :height, :width]).float())


class VectorGenerator(nn.Module):
    """From Z numbers to vectors. frame: of the vectors; latent: Z; width: a sixteenth of the hidden units."""

    def __init__(self, frame: Frame, latent: int, width: int) -> None:
        super().__init__()
        self.frame, hidden = frame, 16 * width
        self.body = nn.Sequential(
            nn.Linear(latent, hidden, bias=False), nn.BatchNorm1d(hidden), nn.LeakyReLU(SLOPE),
            nn.Linear(hidden, hidden, bias=False), nn.BatchNorm1d(hidden), nn.LeakyReLU(SLOPE),
            nn.Linear(hidden, math.prod(frame.shape)),
        )  # fmt: skip

    def forward(self, latents: Tensor) -> Tensor:
        """Make vectors [B, *shape] of latents [B, Z]."""
        return self.frame.fill(self.body(latents).float().view(-1, *self.frame.shape))


def generator_for(frame: Frame, latent: int, width: int) -> nn.Module:
    """Return a new generator for a frame."""
    return (PictureGenerator if frame.pictures else VectorGenerator)(frame, latent, width)


def with_class(latents: Tensor, classes: Tensor, count: int) -> Tensor:
    """Return latents [B, Z] with their classes (int64 [B]) as C more numbers: [B, Z + C]."""
    return torch.cat([latents, functional.one_hot(classes, count).to(latents.dtype)], dim=1)


def _block(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.LeakyReLU(SLOPE)
    )
