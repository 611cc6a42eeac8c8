"""How a run tells what it is doing. A watcher sees everything and can change nothing."""

from __future__ import annotations

from typing import Protocol

from limbeck.types import Record


class Watcher(Protocol):
    """Told about a run while it goes on."""

    def say(self, text: str) -> None:
        """Hear one line about what begins now."""

    def expect(self, teacher_steps: int, steps: int) -> None:
        """Hear how many optimizer steps the run has, of the teacher and of student and controls."""

    def record(self, record: Record) -> None:
        """Hear the figures of an epoch."""

    def done(self, model: str, seed: int, steps: int) -> None:
        """Hear that a fit is finished, or was found finished, after this many steps."""

    def answered(self, count: int, of: int) -> None:
        """Hear that the teacher answered for so many samples more, of those it is asked about before training."""

    def computed(self, count: int, of: int) -> None:
        """Hear that so many features more of a frozen body are there, of those that a fit is trained on."""


class Silent:
    """Hears and says nothing."""

    def say(self, text: str) -> None:
        """Ignore it."""

    def expect(self, teacher_steps: int, steps: int) -> None:
        """Ignore it."""

    def record(self, record: Record) -> None:
        """Ignore it."""

    def done(self, model: str, seed: int, steps: int) -> None:
        """Ignore it."""

    def answered(self, count: int, of: int) -> None:
        """Ignore it."""

    def computed(self, count: int, of: int) -> None:
        """Ignore it."""
