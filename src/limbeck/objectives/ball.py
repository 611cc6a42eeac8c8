"""The pictures that lie within epsilon of given ones.

Shapes: B samples in the batch. Pictures are in 0..1; epsilon is in their unit, so 8/255 is eight grey levels of 255.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Norm = Literal["linf", "l2"]

SLACK = 1e-6  # share of an l2 radius that the rounding of a norm may add
TINY = 1e-12


@dataclass(frozen=True, eq=False)
class Ball:
    """All inputs within epsilon of `centre` [B, ...], by the largest change (linf) or the Euclidean one (l2), in 0..1.

    low, high: [B, ...], the box around it, so rounded that nothing in it is farther than epsilon.
    """

    centre: Tensor
    epsilon: float
    norm: Norm
    low: Tensor
    high: Tensor

    def project(self, points: Tensor) -> Tensor:
        """Return the points [B, ...] brought into the ball."""
        if self.norm == "l2":
            way = points - self.centre
            points = self.centre + way * (self._radius() / lengths(way).clamp_min(TINY)).clamp_max(1.0)
        return points.clamp(self.low, self.high)

    def anywhere(self, generator: torch.Generator | None = None) -> Tensor:
        """Return a point of the ball for each sample [B, ...], drawn evenly; without a generator by torch's own."""
        drawn = torch.empty_like(self.centre, dtype=torch.float32)  # so that the draws are the same for every type
        if self.norm == "linf":
            drawn.uniform_(-self.epsilon, self.epsilon, generator=generator)
            return self.project(self.centre + drawn.to(self.centre))
        drawn.normal_(generator=generator)
        shares = torch.empty_like(lengths(drawn)).uniform_(generator=generator) ** (1 / max(drawn[0].numel(), 1))
        drawn = drawn / lengths(drawn).clamp_min(TINY) * shares * self.epsilon
        return self.project(self.centre + drawn.to(self.centre))

    def step(self, points: Tensor, gradient: Tensor, size: float | Tensor) -> Tensor:
        """Return the points after the steepest step of a size, a number or one for each sample [B, 1, ...]."""
        return self.project(points + steepest(gradient, self.norm) * size)

    def only(self, rows: Tensor) -> Ball:
        """Return the ball of some of its samples, int64 [R]."""
        return Ball(self.centre[rows], self.epsilon, self.norm, self.low[rows], self.high[rows])

    def _radius(self) -> float:
        """Return epsilon less what the rounding of a sum may add to a distance."""
        rounding = torch.finfo(self.centre.dtype).eps / 2 * math.sqrt(self.centre[0].numel())
        return max(self.epsilon * (1 - SLACK) - rounding, 0.0)


def ball_around(centre: Tensor, *, epsilon: float, norm: Norm = "linf") -> Ball:
    """Return the ball around inputs [B, ...] in 0..1; epsilon: 0 or more."""
    reach = epsilon if norm == "linf" else 1.0
    wide = centre.double()
    low, high = (wide - reach).clamp_min(0.0), (wide + reach).clamp_max(1.0)
    return Ball(centre, epsilon, norm, _rounded(low, centre, reach), _rounded(high, centre, reach))


def _rounded(edge: Tensor, centre: Tensor, reach: float) -> Tensor:
    """Return an edge (float64) in the type of the centre, no farther from it than the reach."""
    rounded = edge.to(centre.dtype)
    too_far = (rounded.double() - centre.double()).abs() > reach
    return torch.where(too_far, torch.nextafter(rounded, centre), rounded)


def lengths(values: Tensor) -> Tensor:
    """Return the Euclidean length of each sample of [B, ...] as [B, 1, ...]."""
    return each(values.flatten(1).norm(dim=1), values)


def steepest(gradient: Tensor, norm: Norm) -> Tensor:
    """Return the direction of length 1 in a norm along which a loss with this gradient [B, ...] grows fastest."""
    if norm == "linf":
        return gradient.sign()
    largest = gradient.flatten(1).abs().amax(dim=1)
    gradient = gradient / each(torch.where(largest > 0, largest, 1.0), gradient)  # or its squares would be 0
    return gradient / lengths(gradient).clamp_min(TINY)


def each(values: Tensor, like: Tensor) -> Tensor:
    """Return one value for each sample [B] in the shape [B, 1, ...] that goes with inputs."""
    return values.view(-1, *[1] * (like.ndim - 1))
