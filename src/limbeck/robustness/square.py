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
from limbeck.objectives.ball import Ball, ball_around
from limbeck.robustness.attack import Model, Worst, ask, check_request

HALVED_AT = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)  # of 10,000 queries


def square(
    model: Model,
    inputs: Tensor,
    labels: Tensor,
    *,
    epsilon: float,
    queries: int,
    share: float = 0.8,
    seed: int = 0,
) -> Tensor:
    """Return the worst input found within epsilon (the largest change of a pixel) for each sample [B, C, H, W].

    It begins with stripes and then tries squares whose channels are all at one end of the ball, ever smaller ones.
    model: from inputs in 0..1 to logits [B, C]; epsilon: in the inputs' unit; queries: how often the model is asked
    about a sample, the samples that are broken no more; share: of the picture that the first square takes, 0..1. Raises
    UserError for inputs that are no pictures in 0..1.
    """
    check_request(inputs, labels, epsilon, steps=queries)
    if inputs.ndim != 4:
        raise UserError(f"The square attack expects pictures [B, C, H, W], got {list(inputs.shape)}.")
    generator = torch.Generator(inputs.device).manual_seed(seed)
    height, width = inputs.shape[2:]
    ball = ball_around(inputs, epsilon=epsilon)
    with evaluating(model):
        worst = Worst(model, inputs, labels)
        worst.margins = torch.where(worst.margins > 0, worst.margins, -torch.inf)  # the walk begins at the stripes
        for query, rows in enumerate(worst.attempts(queries)):
            if query == 0:
                points = _ends(ball, rows, (1, width), generator)
            else:
                inside = _squares(rows, (height, width), side_of(share, query, queries, height, width), generator)
                points = torch.where(inside, _ends(ball, rows, (1, 1), generator), worst.points[rows])
            worst.note(rows, points, ask(model, points))
    return worst.points


def side_of(share: float, query: int, queries: int, height: int, width: int) -> int:
    """Return the side of the square of a query, in pixels; the share of the picture that it takes halves at times."""
    done = query * 10_000 // queries
    share = share / 2 ** sum(done > place for place in HALVED_AT)
    return min(max(round(math.sqrt(share * height * width)), 1), max(min(height, width) - 1, 1))


def _ends(ball: Ball, rows: Tensor, pattern: tuple[int, int], generator: torch.Generator) -> Tensor:
    """Return pictures [R, C, H, W] at one end of the ball or the other, drawn for each channel and place of a pattern.

    pattern: (1, W) gives stripes, (1, 1) one end for all of a channel.
    """
    drawn = torch.randint(2, (len(rows), ball.centre.shape[1], *pattern), device=rows.device, generator=generator)
    return torch.where(drawn.bool(), ball.high[rows], ball.low[rows])


def _squares(rows: Tensor, size: tuple[int, int], side: int, generator: torch.Generator) -> Tensor:
    """Return where a square lies that is drawn for each picture, bool [R, 1, H, W]."""
    along = []
    for length in size:
        first = torch.randint(length - side + 1, (len(rows), 1), device=rows.device, generator=generator)
        place = torch.arange(length, device=rows.device)
        along.append((place >= first) & (place < first + side))
    return along[0][:, None, :, None] & along[1][:, None, None, :]
