"""Which of several processes a launcher says that this is; the first one alone speaks. Imports nothing heavy."""

from __future__ import annotations

import os

from limbeck.errors import LimbeckError, LostError, UserError


def launched_rank() -> int:
    """Return this process's rank as the launcher (torchrun, accelerate) tells it, 0 without one."""
    return int(os.environ.get("RANK") or 0)


def complaint(error: LimbeckError, message: str) -> str | None:
    """Return what this rank says of an error; None where another one says the same.

    A user's mistake is met by every rank, but what a machine lacks by its own ranks alone. A rank that ended is lost to
    all others, the first included unless it is that one itself.
    """
    number = launched_rank()
    if number == 0:
        return message
    if isinstance(error, LostError) or (isinstance(error, UserError) and os.environ.get("LOCAL_RANK", "0") != "0"):
        return None
    return f"Rank {number}: {message}"
