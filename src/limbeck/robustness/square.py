"""Square attack: random squares, kept where they hurt (Andriushchenko, Croce, Flammarion, Hein 2020).

Shapes: B samples of C channels, H high and W wide, R of them that are not broken yet. It asks for logits alone, so it
works where there is no gradient, or one that misleads.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from limbeck.errors import UserError
from limbeck.models.modes import evaluating
from limbeck.objectives.ball import Ball, Norm, ball_around
from limbeck.robustness.attack import Model, Worst, ask, check_request
from limbeck.robustness.bumps import moved_bumps, tiles
from limbeck.robustness.windows import windows

HALVED_AT = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)  # of 10,000 queries
SMALLEST = 3  # side of the squares of l2, whose middle is where the change is largest


def square(
    model: Model,
    inputs: Tensor,
    labels: Tensor,
    *,
    epsilon: float,
    queries: int,
    share: float = 0.8,
    norm: Norm = "linf",
    seed: int = 0,
) -> Tensor:
    """Return the worst input found within epsilon for each sample [B, C, H, W].

    linf: it begins with stripes and then tries squares whose channels are all at one end of the ball, ever smaller
    ones. l2: it begins with bumps in 5 x 5 tiles and then tries to move the change of one square to another.
    model: from inputs in 0..1 to logits [B, C]; epsilon: in the inputs' unit; queries: how often the model is asked
    about a sample, the samples that are broken no more; share: of the picture that the first square takes, 0..1. Raises
    UserError for inputs that are no pictures in 0..1, and for l2 for pictures of fewer than 3 x 3 pixels.
    """
    check_request(inputs, labels, epsilon, steps=queries)
    least = SMALLEST if norm == "l2" else 1
    if inputs.ndim != 4 or min(inputs.shape[2:]) < least:
        size = f" of {least} x {least} pixels or more" if least > 1 else ""
        raise UserError(f"The square attack expects pictures [B, C, H, W]{size}, got {list(inputs.shape)}.")
    generator = torch.Generator(inputs.device).manual_seed(seed)
    ball = ball_around(inputs, epsilon=epsilon, norm=norm)
    start, tried = (_stripes, _squared) if norm == "linf" else (tiles, _moved)
    with evaluating(model):
        worst = Worst(model, inputs, labels)
        worst.margins = torch.where(worst.margins > 0, worst.margins, -torch.inf)  # the walk begins where it starts
        for query, rows in enumerate(worst.attempts(queries)):
            if query == 0:
                points = start(ball.only(rows), generator)
            else:
                side = side_of(share, query, queries, *inputs.shape[2:])
                points = tried(ball.only(rows), worst.points[rows], side, generator)
            worst.note(rows, points, ask(model, points))
    return worst.points


def side_of(share: float, query: int, queries: int, height: int, width: int) -> int:
    """Return the side of the square of a query, in pixels; the share of the picture that it takes halves at times."""
    done = query * 10_000 // queries
    share = share / 2 ** sum(done > place for place in HALVED_AT)
    return min(max(round(math.sqrt(share * height * width)), 1), max(min(height, width) - 1, 1))


def odd(side: int, height: int, width: int) -> int:
    """Return the side of a square of l2: an odd number of pixels, 3 at least, that fits into the picture."""
    most = min(height, width)
    return max(min(side + (side + 1) % 2, most - (most + 1) % 2), SMALLEST)


def _stripes(ball: Ball, generator: torch.Generator) -> Tensor:
    return _ends(ball, (1, ball.centre.shape[3]), generator)


def _squared(ball: Ball, points: Tensor, side: int, generator: torch.Generator) -> Tensor:
    """Return points [R, C, H, W] with a square of theirs at one end of the ball."""
    inside = windows(points, side, generator).inside
    return torch.where(inside, _ends(ball, (1, 1), generator), points)


def _moved(ball: Ball, points: Tensor, side: int, generator: torch.Generator) -> Tensor:
    return moved_bumps(ball, points, odd(side, *points.shape[2:]), generator)


def _ends(ball: Ball, pattern: tuple[int, int], generator: torch.Generator) -> Tensor:
    """Return pictures [R, C, H, W] at one end of the ball or the other, drawn for each channel and place of a pattern.

    pattern: (1, W) gives stripes, (1, 1) one end for all of a channel.
    """
    shape = (*ball.centre.shape[:2], *pattern)
    drawn = torch.randint(2, shape, device=ball.centre.device, generator=generator)
    return torch.where(drawn.bool(), ball.high, ball.low)
