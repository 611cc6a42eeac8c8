"""Projected gradient descent that chooses its own step sizes and climbs a loss on margins (Croce, Hein 2020).

Shapes: B samples, C classes, R rows of an attempt. The loss is the difference of logits ratio: that of the largest
other class and the label's, divided by that of the first and the third class, so that no scale of the logits hides it.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from limbeck.models.modes import evaluating
from limbeck.objectives.ball import Ball, Norm, ball_around, each
from limbeck.robustness.attack import Model, Worst, ascent, check_request, margins

MOMENTUM = 0.25  # share of the last movement in the next
RISING = 0.75  # share of the steps since the last look that should have gone up
FIRST, SHORTER, SHORTEST = 22, 3, 6  # percent of all steps: the first stretch, how much less each next one is, the last


def margin_pgd(
    model: Model,
    inputs: Tensor,
    labels: Tensor,
    *,
    epsilon: float,
    steps: int,
    restarts: int = 1,
    norm: Norm = "linf",
    until_broken: bool = False,
    seed: int = 0,
) -> Tensor:
    """Return the worst input found within epsilon for each sample [B, ...], climbing the ratio of its margin.

    Steps begin at twice epsilon. After stretches that get shorter, a sample goes back to its best point with half the
    step, where too few steps went up, or the best and the step are what they were. model: from inputs in 0..1 to logits
    [B, C]; epsilon: in the inputs' unit; restarts: climbs in all, of which those after the first are for samples that
    are still given their label; until_broken: as for `pgd`. Raises UserError for inputs outside of 0..1.
    """
    check_request(inputs, labels, epsilon, steps=steps)
    generator = torch.Generator(inputs.device).manual_seed(seed)
    with evaluating(model):
        worst = Worst(model, inputs, labels)
        for rows in worst.attempts(restarts):
            ball = ball_around(inputs[rows], epsilon=epsilon, norm=norm)
            _Climb(model, ball, labels[rows], worst, rows, ball.anywhere(generator)).go(steps, until_broken)
    return worst.points


def margin_ratio(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the margin of each sample over the gap of its first and third class [B]; of two classes the margin."""
    if logits.shape[1] < 3:
        return margins(logits, labels)
    first, _, third = logits.topk(3, dim=1).values.unbind(1)
    return margins(logits, labels) / (first - third + 1e-12)


def stretches(steps: int) -> list[int]:
    """Return the numbers of the steps, from 1, after which the step sizes are looked at (section 3 of the paper)."""
    before, now, found = 0, FIRST, []
    while now <= 100:
        found.append(-(-now * steps // 100))
        before, now = now, now + max(now - before - SHORTER, SHORTEST)
    return list(dict.fromkeys(found))


class _Climb:
    """One attempt for some rows; all that is [R] or [R, ...] changes from step to step."""

    def __init__(self, model: Model, ball: Ball, labels: Tensor, worst: Worst, rows: Tensor, start: Tensor) -> None:
        self.model, self.ball, self.labels, self.worst, self.rows = model, ball, labels, worst, rows
        self.points = self.before = self.best_points = start
        self.loss, self.gradient = self._look()
        self.best, self.best_gradient = self.loss, self.gradient
        self.size = torch.full_like(self.loss, 2 * ball.epsilon)
        self.rises = torch.zeros_like(self.loss)
        self.best_then, self.halved_then = self.best, torch.zeros_like(self.loss, dtype=torch.bool)

    def go(self, steps: int, until_broken: bool) -> None:
        """Take the steps; until_broken: with the rows alone that are not broken yet."""
        looks, last = stretches(steps), 0
        for step in range(1, steps + 1):
            if until_broken and not self._leaves_some():
                return
            self._step(momentum=MOMENTUM if step > 1 else 0.0)
            if step in looks:
                self._adapt(step - last)
                last = step

    def _leaves_some(self) -> bool:
        """Leave out the rows that are broken; return whether there are others."""
        left = self.worst.unbroken(self.rows)
        if len(left) < len(self.rows):
            self.ball, self.labels, self.rows = self.ball.only(left), self.labels[left], self.rows[left]
            self.points, self.before, self.best_points = self.points[left], self.before[left], self.best_points[left]
            self.loss, self.best, self.best_then = self.loss[left], self.best[left], self.best_then[left]
            self.gradient, self.best_gradient = self.gradient[left], self.best_gradient[left]
            self.size, self.rises, self.halved_then = self.size[left], self.rises[left], self.halved_then[left]
        return bool(len(left))

    def _step(self, momentum: float) -> None:
        ahead = self.ball.step(self.points, self.gradient, each(self.size, self.points))
        moved = (1 - momentum) * (ahead - self.points) + momentum * (self.points - self.before)
        self.before, self.points = self.points, self.ball.project(self.points + moved)
        loss_before = self.loss
        self.loss, self.gradient = self._look()
        self.rises = self.rises + (self.loss > loss_before)
        better = self.loss > self.best
        self._keep(better)

    def _keep(self, better: Tensor) -> None:
        self.best = torch.where(better, self.loss, self.best)
        wide = each(better, self.points)
        self.best_points = torch.where(wide, self.points, self.best_points)
        self.best_gradient = torch.where(wide, self.gradient, self.best_gradient)

    def _adapt(self, stretch: int) -> None:
        """Halve the steps of the rows that get nowhere, and let them go on from their best points."""
        stuck = (self.best <= self.best_then) & ~self.halved_then
        halved = (self.rises < RISING * stretch) | stuck
        self.size = torch.where(halved, self.size / 2, self.size)
        wide = each(halved, self.points)
        self.points = torch.where(wide, self.best_points, self.points)
        self.gradient = torch.where(wide, self.best_gradient, self.gradient)
        self.loss = torch.where(halved, self.best, self.loss)
        self.best_then, self.halved_then, self.rises = self.best, halved, torch.zeros_like(self.rises)

    def _look(self) -> tuple[Tensor, Tensor]:
        """Return the loss [R] and its gradient [R, ...] where the climb is, and note what is there."""
        logits, gradient = ascent(self.model, self.points, partial(margin_ratio, labels=self.labels))
        self.worst.note(self.rows, self.points, logits)
        return margin_ratio(logits, self.labels), gradient
