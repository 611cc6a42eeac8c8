"""A weight that changes while a model is trained."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from limbeck.errors import ObjectiveError

Shape = Literal["linear", "cosine", "step"]
SHAPES: tuple[Shape, ...] = ("linear", "cosine", "step")


@dataclass(frozen=True)
class Schedule:
    """A weight that goes from one value to another over the first epochs of a fit, and stays there.

    start: its value at first; end: its value once `over` epochs have passed; over: epochs, above 0, not necessarily
    whole; shape: linear, cosine (gently at both ends) or step (start until then, end from then on).
    """

    start: float
    end: float
    over: float
    shape: Shape = "linear"

    def __post_init__(self) -> None:
        if not (math.isfinite(self.start) and math.isfinite(self.end) and 0 < self.over < math.inf):
            raise ObjectiveError(f"A schedule expects finite values and `over` above 0, got {self!r}.")
        if self.shape not in SHAPES:
            raise ObjectiveError(f"A schedule's shape is {', '.join(SHAPES)}, got {self.shape!r}.")

    def at(self, epoch: float) -> float:
        """Return the weight after this many epochs, 0 or more: a pure function, so resuming needs no state."""
        done = min(epoch / self.over, 1.0)
        if self.shape == "step":
            done = math.floor(done)
        elif self.shape == "cosine":
            done = (1 - math.cos(math.pi * done)) / 2
        return self.start + (self.end - self.start) * done

    def __str__(self) -> str:
        return f"({self.start:g} to {self.end:g} over {self.over:g} epochs, {self.shape})"


Weight = float | Schedule


def weight_at(weight: Weight, epoch: float | None) -> float:
    """Return a weight after this many epochs; ObjectiveError where it changes and nobody says when this is."""
    if not isinstance(weight, Schedule):
        return weight
    if epoch is None:
        raise ObjectiveError(
            f"A weight of this objective is {weight}, so it must know how far training is: "
            f"objective(outputs, knowledge, batch, epoch=step / steps_per_epoch)."
        )
    return weight.at(epoch)


def peak(weight: Weight) -> float:
    """Return the weight, of a schedule the one of its two ends that is farther from 0."""
    return max(weight.start, weight.end, key=abs) if isinstance(weight, Schedule) else weight


def told(weight: Weight) -> str:
    """Return a weight in words."""
    return str(weight) if isinstance(weight, Schedule) else f"{weight:g}"
