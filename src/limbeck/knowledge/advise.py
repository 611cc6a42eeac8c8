"""Whether a teacher's answers are asked for at every step, kept in memory, or kept on disk for later runs too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Mode = Literal["live", "memory", "stored"]

GRACE_SECONDS, GRACE_SHARE = 0.5, 0.25  # what keeping the answers may cost a run, for what it spares every later one
WRITTEN_PER_SECOND = 50e6  # bytes; a slow disk
DISK_SHARE = 0.5  # of the free space that a store may take
MIB = 2**20


@dataclass(frozen=True)
class Case:
    """What was measured or counted for a run.

    wanted: what the recipe says; live: samples that the run asks about without a table; rows: of the tables, a row a
    sample and view, None where every showing is a new view; missing: rows that are not known yet; asking: seconds a
    row, None where nothing had to be asked; reading: seconds a row from a table; bytes_per_row: of a table in memory;
    limit: bytes that tables may take; free: bytes of disk, None where answers cannot be kept on disk.
    """

    wanted: Literal["auto", "live", "memory", "stored"]
    live: int
    rows: int | None
    missing: int
    asking: float | None
    reading: float
    bytes_per_row: int
    limit: int
    free: int | None

    @property
    def bytes(self) -> int:
        """Of all tables."""
        return (self.rows or 0) * self.bytes_per_row

    @property
    def seconds_live(self) -> float:
        """What asking at every step takes."""
        return self.live * (self.asking or 0.0)

    @property
    def seconds_once(self) -> float:
        """What asking once about every missing row, and reading at every step, takes."""
        return self.missing * (self.asking or 0.0) + self.live * self.reading

    @property
    def seconds_writing(self) -> float:
        """What writing the missing rows takes at most."""
        return self.missing * (self.bytes_per_row + 8) / WRITTEN_PER_SECOND


@dataclass(frozen=True)
class Advice:
    """mode: what is done; sentence: why, in one line."""

    mode: Mode
    sentence: str


def advise(case: Case) -> Advice:
    """Choose what takes the least time; what costs half a second or a quarter more is kept for later runs.

    So the noise of a clock does not choose between live and kept answers, which differ in their last bits.
    """
    if case.rows is None:
        return Advice("live", _fresh(case))
    if case.wanted != "auto":
        size = "" if case.wanted == "live" else f" ({size_text(case.bytes)})"
        return Advice(case.wanted, f"{_WORDS[case.wanted]}, as the recipe says{size}")
    return _fastest(case)


_WORDS = {"live": "live", "memory": "in memory", "stored": "stored"}


def _fastest(case: Case) -> Advice:
    fits = case.bytes <= case.limit
    on_disk = case.free is not None and case.bytes <= case.free * DISK_SHARE
    if not case.missing and on_disk:
        return Advice("stored", f"stored ({size_text(case.bytes)}), all known already, so the teacher is not asked")
    if not (fits or on_disk):
        place = "memory" if case.free is None else "memory or disk"
        return Advice("live", f"live, since {size_text(case.bytes)} of answers do not fit into {place}")
    if case.seconds_live * (1 + GRACE_SHARE) + GRACE_SECONDS < case.seconds_once:
        return Advice("live", f"live, {_time(case.seconds_live)} instead of {_time(case.seconds_once)} for all rows")
    gain = f"{_time(case.seconds_once)} of asking and reading instead of {_time(case.seconds_live)} live"
    if on_disk and (not fits or case.seconds_writing <= GRACE_SECONDS + case.seconds_once):
        return Advice("stored", f"stored ({size_text(case.bytes)}), {gain}; later runs with this teacher read them")
    why = "there is no place on disk for them" if not on_disk else f"writing would take {_time(case.seconds_writing)}"
    return Advice("memory", f"in memory ({size_text(case.bytes)}), {gain}; {why}")


def _fresh(case: Case) -> str:
    return f"live, {case.live:,} samples, since every showing is a new view; data.views with a number asks once a view"


def size_text(count: int) -> str:
    """Return a number of bytes in words."""
    return f"{count / MIB:,.1f} MiB" if count >= 0.05 * MIB else f"{count / 1024:,.1f} KiB"


def _time(seconds: float) -> str:
    if seconds < 0.95:
        return f"{max(seconds, 0.001):.1g} s" if seconds < 0.1 else f"{seconds:.1f} s"
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
