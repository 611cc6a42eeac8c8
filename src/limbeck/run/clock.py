"""How long the questions of an exam take, and whether there is time for another one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Clock:
    """A budget in minutes, None for no limit, and the pace of what is being done.

    Effort is in a unit of each part of an exam, such as questions asked: what a part says of pace begins anew.
    """

    def __init__(self, budget: float | None) -> None:
        self.end = None if budget is None else time.monotonic() + 60 * budget
        self.expect(0.0)

    def expect(self, effort: float) -> None:
        """Begin a part that takes this much effort in all."""
        self.slowest, self.spent, self.done, self.of = 0.0, 0.0, 0.0, effort

    def allows(self, effort: float = 1.0) -> bool:
        """Whether so much would end within the budget, at the slowest pace so far."""
        return self.end is None or time.monotonic() + self.slowest * effort <= self.end

    def left(self) -> str:
        """Return ", about 12 s left", or nothing before the first and after the last of a part."""
        if not self.done or self.done >= self.of:
            return ""
        seconds = self.spent / self.done * (self.of - self.done)
        return f", about {seconds:.0f} s left" if seconds < 90 else f", about {seconds / 60:.0f} min left"

    @contextmanager
    def spending(self, effort: float = 1.0) -> Iterator[None]:
        """Measure how long something takes."""
        start = time.monotonic()
        yield
        took = time.monotonic() - start
        self.slowest = max(self.slowest, took / effort)
        self.spent, self.done = self.spent + took, self.done + effort
