"""Square windows of pictures, one drawn for each.

Shapes: R pictures, H high and W wide.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Windows:
    """A square of each picture. inside: which pixels are in it, bool [R, 1, H, W]; down, across: how far a pixel is
    from its upper edge [R, H] and its left one [R, W], from 0 to the side less 1 in it."""

    inside: Tensor
    down: Tensor
    across: Tensor


def windows(pictures: Tensor, side: int, generator: torch.Generator) -> Windows:
    """Draw a window for each picture [R, C, H, W], every place alike; side: its height and width in pixels."""
    far, within = [], []
    for length in pictures.shape[2:]:
        first = torch.randint(length - side + 1, (len(pictures), 1), device=pictures.device, generator=generator)
        far.append(torch.arange(length, device=pictures.device) - first)
        within.append((far[-1] >= 0) & (far[-1] < side))
    return Windows(within[0][:, None, :, None] & within[1][:, None, None, :], far[0], far[1])
