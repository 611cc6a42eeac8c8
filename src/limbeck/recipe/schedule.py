"""A number of a recipe that changes while a model is trained."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from limbeck.objectives.schedule import Schedule, Shape, Weight
from limbeck.recipe.schema import Strict


class ScheduleSection(Strict):
    """A weight that changes over the first epochs of a fit, and stays at its last value.

    from: its value at first; to: its value once `over` epochs have passed; over: epochs, not necessarily whole;
    shape: of the way between them, cosine is gentle at both ends and step jumps at the end.
    """

    start: float = Field(alias="from")
    end: float = Field(alias="to")
    over: Annotated[float, Field(gt=0)]
    shape: Shape = "linear"


def weight_of(given: float | ScheduleSection) -> Weight:
    """Return what a recipe's weight stands for."""
    return Schedule(given.start, given.end, given.over, given.shape) if isinstance(given, ScheduleSection) else given
