"""Projected gradient descent from random starts (Madry et al. 2018).

Shapes: B samples, C classes.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from limbeck.models.modes import evaluating
from limbeck.objectives.ball import Ball, Norm, ball_around
from limbeck.robustness.attack import Model, Worst, ascent, ask, check_request, surprise


def pgd(
    model: Model,
    inputs: Tensor,
    labels: Tensor,
    *,
    epsilon: float,
    step_size: float,
    steps: int,
    restarts: int = 1,
    norm: Norm = "linf",
    random_start: bool = True,
    until_broken: bool = False,
    seed: int = 0,
) -> Tensor:
    """Return the worst input found within epsilon for each sample [B, ...], climbing the cross-entropy with its label.

    model: from inputs in 0..1 to logits [B, C]; epsilon, step_size: in the inputs' unit; restarts: climbs in all, of
    which those after the first are for samples that are still given their label; random_start: begin anywhere in the
    ball, else at the input itself; until_broken: go no further with a sample than to the first input that breaks it,
    which breaks the same samples in less time. Raises UserError for inputs outside of 0..1.
    """
    check_request(inputs, labels, epsilon, step_size, steps)
    generator = torch.Generator(inputs.device).manual_seed(seed)
    with evaluating(model):
        worst = Worst(model, inputs, labels)
        for rows in worst.attempts(restarts):
            ball = ball_around(inputs[rows], epsilon=epsilon, norm=norm)
            start = ball.anywhere(generator) if random_start else ball.centre
            _climb(model, worst, rows, ball, start, step_size, steps, until_broken)
    return worst.points


def _climb(
    model: Model, worst: Worst, rows: Tensor, ball: Ball, points: Tensor, size: float, steps: int, until_broken: bool
) -> None:
    """Take steps from some points for the rows of an attempt, and note what is found."""
    for _ in range(steps):
        logits, gradient = ascent(model, points, partial(surprise, labels=worst.labels[rows]))
        worst.note(rows, points, logits)
        if until_broken and len(left := worst.unbroken(rows)) < len(rows):
            rows, ball, points, gradient = rows[left], ball.only(left), points[left], gradient[left]
        if not len(rows):
            return
        points = ball.step(points, gradient, size)
    worst.note(rows, points, ask(model, points))
