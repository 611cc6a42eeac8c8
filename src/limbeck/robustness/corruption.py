"""A corruption: a change of pictures that leaves their class, at five severities, made again whenever it is asked for.

As with views, random numbers come from a hash of what is corrupted, so they do not depend on order, batch or process.
A picture draws the same numbers at every severity: the same noise grows, the same turn goes on.

Shapes: B samples, C channels, H rows and W columns of pixels, R random numbers for each sample.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from limbeck.data.draws import uniform
from limbeck.data.hashing import hash64
from limbeck.errors import DataError

Family = Literal["noise", "blur", "geometry", "colour", "digital", "cover"]
Change = Callable[[Tensor, float, Tensor], Tensor]

SEVERITIES = (1, 2, 3, 4, 5)


@dataclass(frozen=True)
class Corruption:
    """One corruption of pictures.

    name: as in reports and on the command line; family: of its like; strengths: of severity 1 to 5; unit: what they
    are, in words; draws: R; change: makes pixels [B, C, H, W] from those in 0..1, a strength and numbers [B, R] in
    0 <= u < 1; what it makes may leave 0..1 and is cut.
    """

    name: str
    family: Family
    strengths: tuple[float, float, float, float, float]
    unit: str
    draws: int
    change: Change

    def __call__(self, pixels: Tensor, severity: int, *, seed: int, index: Tensor) -> Tensor:
        """Return pixels [B, C, H, W] corrupted, in 0..1 as they are.

        severity: 1 to 5; index: int64 [B], what each picture's randomness hangs on beside the seed, such as the hash of
        its id. Raises DataError for another severity and for anything but pictures.
        """
        if severity not in SEVERITIES:
            raise DataError(f"{self.name}: severity is a whole number from 1 to 5, but it is {severity}.")
        if pixels.ndim != 4:
            raise DataError(f"{self.name} works on pictures [B, C, H, W], but the shape is {list(pixels.shape)}.")
        if len(pixels) == 0:
            return pixels
        numbers = draw(f"{seed}/{self.name}", self.draws, index)
        return self.change(pixels, self.strengths[severity - 1], numbers).clamp(0, 1)


def draw(salt: str, count: int, index: Tensor) -> Tensor:
    """Return float32 [B, count] in 0 <= u < 1, a function of salt and index, int64 [B], alone."""
    salts = torch.tensor([hash64(f"{salt}/{place}") for place in range(count)], dtype=torch.int64, device=index.device)
    return uniform(salts, index, torch.zeros_like(index))


def side(pixels: Tensor) -> int:
    """Return the shorter side of pictures, in pixels: what strengths are measured by where size matters."""
    return min(pixels.shape[2:])


def sign(numbers: Tensor) -> Tensor:
    """Return -1 or 1, each equally likely, by numbers of any shape."""
    return torch.where(numbers < 0.5, -torch.ones_like(numbers), torch.ones_like(numbers))
