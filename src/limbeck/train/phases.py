"""What a fit spends its time on, for those who ask; who does not ask pays nothing."""

from __future__ import annotations

import contextlib
from contextlib import AbstractContextManager
from typing import Literal, Protocol

Phase = Literal[
    "frozen features", "data", "views", "teacher's answers", "forward", "backward", "optimizer", "validation"
]  # fmt: skip
_NOTHING = contextlib.nullcontext()


class Phases(Protocol):
    """Told what a fit does, and when a step is over."""

    def __call__(self, phase: Phase) -> AbstractContextManager[object]:
        """Return a context that a phase's work is done in; the work of an inner context is not the outer's."""

    def step(self) -> None:
        """Hear that an optimizer step is over."""


class Unmeasured:
    """Measures nothing."""

    def __call__(self, phase: Phase) -> AbstractContextManager[object]:
        """Return a context that does nothing."""
        return _NOTHING

    def step(self) -> None:
        """Ignore it."""


UNMEASURED: Phases = Unmeasured()
