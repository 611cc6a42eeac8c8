"""Elastic distortion: pictures that are bent (Simard, Steinkraus, Platt 2003, ICDAR, section 2).

There a field of random moves for every pixel is blurred; here random moves of a few points are interpolated, which is
as smooth, needs few random numbers, and can be replayed at no cost.

Shapes: B samples, C channels, H rows and W columns of pixels, G points a side.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from limbeck.data.views import Transform, picture_shape
from limbeck.errors import DataError


class Elastic(Transform):
    """Bend each picture: points of a square grid over it move by chance, and what lies between them moves along.

    pixels: the farthest move of a point in x and in y, 0 or more; every move up to it is equally likely.
    grid: points a side, from 2; more of them bend more finely.
    """

    def __init__(self, pixels: float = 2.0, grid: int = 5) -> None:
        if not 0 <= pixels < float("inf"):
            raise DataError(f"elastic: pixels must be 0 or more, but it is {pixels}.")
        if grid < 2:
            raise DataError(f"elastic: grid must be 2 or more, but it is {grid}.")
        self.pixels, self.grid = pixels, grid
        self.draws = 2 * grid**2

    def __str__(self) -> str:
        """Return the name with its settings, such as 'elastic(pixels=2.0, grid=5)'."""
        return f"elastic(pixels={self.pixels}, grid={self.grid})"

    def __call__(self, inputs: Tensor, numbers: Tensor) -> Tensor:
        """Bend inputs [B, C, H, W] by numbers [B, 2 G^2]: moves in x, then in y, row by row.

        Between the points moves are interpolated bicubically, and pixels bilinearly; what comes from outside is 0.
        """
        count, _, height, width = picture_shape(inputs, "elastic")
        moves = (2 * numbers - 1).to(inputs.dtype).view(count, 2, self.grid, self.grid) * self.pixels
        units = torch.tensor([2 / width, 2 / height], dtype=inputs.dtype, device=inputs.device)
        field = F.interpolate(moves * units[:, None, None], (height, width), mode="bicubic", align_corners=True)
        x, y = (_middles(size, inputs) for size in (width, height))
        places = torch.stack([field[:, 0] + x, field[:, 1] + y[:, None]], dim=1).permute(0, 2, 3, 1)
        return F.grid_sample(inputs, places, padding_mode="zeros", align_corners=False)


def _middles(size: int, like: Tensor) -> Tensor:
    """Return where the middles of pixels lie, [size], as grid_sample counts: -1 to 1, edge to edge."""
    return (2 * torch.arange(size, dtype=like.dtype, device=like.device) + 1) / size - 1
