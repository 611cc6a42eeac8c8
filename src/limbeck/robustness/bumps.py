"""What the square attack changes within an l2 ball: bumps, and how a change moves (Andriushchenko et al. 2020, 3.3).

Shapes: R pictures of C channels, H high and W wide; S is the side of a square.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from limbeck.objectives.ball import TINY, Ball, lengths
from limbeck.robustness.windows import Windows, windows

TILES = 5  # along each side of a picture, of the start


def bump(height: int, width: int) -> Tensor:
    """Return a bump [height, width], float64 of length 1, highest in the middle (equation 2).

    A pixel's height is the sum of 1 / (n + 1 - k)^2 over k from 0 to n less its distance from the middle, n half of the
    longer side.
    """
    half = max(height, width) // 2
    down, across = (torch.arange(height) - height // 2).abs(), (torch.arange(width) - width // 2).abs()
    heights = torch.cumsum(1.0 / torch.arange(half + 1, 0, -1).double() ** 2, dim=0)
    found: Tensor = heights[half - torch.maximum(down[:, None], across[None, :])]
    length: Tensor = found.norm()
    return found / length


@cache
def pair(side: int) -> Tensor:
    """Return the shape of a change within a square [S, S], float64 of length 1: a bump up above one down."""
    upper = side // 2
    found = torch.cat([bump(upper, side), -bump(side - upper, side)])
    length: Tensor = found.norm()
    return found / length


def tiles(ball: Ball, generator: torch.Generator) -> Tensor:
    """Return pictures [R, C, H, W] at the edge of the ball, a pair of bumps in each of 5 x 5 tiles and channel."""
    count, channels, height, width = ball.centre.shape
    side = max(min(height, width) // TILES, 1)
    across = min(TILES, height, width)
    signs = torch.randint(2, (count, channels, across, across), device=ball.centre.device, generator=generator) * 2 - 1
    blocks = torch.kron(signs.to(ball.centre), pair(side).to(ball.centre))  # each sign becomes a tile
    change = torch.zeros_like(ball.centre)
    top, left = (height - side * across) // 2, (width - side * across) // 2
    change[:, :, top : top + side * across, left : left + side * across] = blocks
    return at_the_edge(ball, change)


def moved_bumps(ball: Ball, points: Tensor, side: int, generator: torch.Generator) -> Tensor:
    """Return points [R, C, H, W] whose change within one square is gone, and grown in another with a bump added.

    The other gets, for each channel, what the first had, and an even part of what the ball has left (algorithm 3).
    side: of both squares in pixels, odd.
    """
    change = points - ball.centre
    to, from_ = (windows(points, side, generator) for _ in range(2))
    into, both = to.inside, to.inside | from_.inside
    left = (ball.epsilon**2 - change.square().sum(dim=(1, 2, 3), keepdim=True)).clamp_min(0) / change.shape[1]
    available = ((change * both).square().sum(dim=(2, 3), keepdim=True) + left).sqrt()
    old = change * into
    signs = torch.randint(2, (*change.shape[:2], 1, 1), device=points.device, generator=generator) * 2 - 1
    grown = signs * _laid(points, to, side, generator) + old / _channel_lengths(old)
    grown = grown / _channel_lengths(grown) * available
    return at_the_edge(ball, torch.where(into, grown, torch.where(from_.inside, 0.0, change)))


def at_the_edge(ball: Ball, change: Tensor) -> Tensor:
    """Return the pictures changed by as much as the ball allows along a change [R, C, H, W]."""
    return ball.project(ball.centre + change / lengths(change).clamp_min(TINY) * ball.epsilon)


def _laid(like: Tensor, to: Windows, side: int, generator: torch.Generator) -> Tensor:
    """Return the pair of bumps in a window of each picture [R, 1, H, W], on its side in about half of them."""
    shape = pair(side).to(like)
    turned = torch.randint(2, (len(like),), device=like.device, generator=generator)
    down, across = (far.clamp(0, side - 1) for far in (to.down, to.across))
    laid = torch.stack([shape, shape.T])[turned[:, None, None], down[:, :, None], across[:, None, :]]
    return laid[:, None] * to.inside


def _channel_lengths(values: Tensor) -> Tensor:
    """Return the Euclidean length of each channel of [R, C, H, W] as [R, C, 1, 1], never 0."""
    return values.square().sum(dim=(2, 3), keepdim=True).sqrt().clamp_min(TINY)
