"""How much a teacher was asked, in a file that all processes share and no kill makes forget."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from limbeck.errors import BudgetError, FolderError
from limbeck.files import reporting_disk_errors

LENGTH = 63  # three numbers of twenty digits, two blanks and a line break
NANO = 1_000_000_000


@dataclass(frozen=True)
class Spent:
    """What was asked so far: samples, each attempt counted, in so many requests."""

    samples: int = 0
    requests: int = 0

    def __sub__(self, other: Spent) -> Spent:
        return Spent(self.samples - other.samples, self.requests - other.requests)


@dataclass(frozen=True)
class Meter:
    """Notes every question before it is sent, so none goes uncounted, whatever happens to the process.

    path: of the file; budget: samples that may ever be asked about, None without an end; rate: requests in a second,
    None for as many as there are.
    """

    path: Path
    budget: int | None = None
    rate: float | None = None

    def spent(self) -> Spent:
        """Return what was asked so far, by whichever process and run."""
        if not self.path.is_file():
            return Spent()
        samples, requests, _ = self._parse(self.path.read_bytes())
        return Spent(samples, requests)

    def left(self) -> int | None:
        """Return how many samples may still be asked about, None without an end."""
        return None if self.budget is None else max(self.budget - self.spent().samples, 0)

    def take(self, count: int) -> None:
        """Note a request for so many samples, and wait until the rate allows it; BudgetError where it is too much."""
        with self._locked() as file:
            samples, requests, free = self._parse(os.pread(file, LENGTH, 0))
            if self.budget is not None and samples + count > self.budget:
                raise BudgetError(
                    f"teacher.http.budget allows {self.budget:,} samples; {samples:,} were sent, each attempt counted, "
                    f"and {count:,} more would be too many. What was answered is kept; raise the budget to go on."
                )
            now = time.time_ns()
            begin = max(now, free) if self.rate is not None else now
            then = begin + int(NANO / self.rate) if self.rate is not None else free
            os.pwrite(file, b"%020d %020d %020d\n" % (samples + count, requests + 1, then), 0)
            os.fsync(file)
        if begin > now:
            time.sleep((begin - now) / NANO)

    @contextmanager
    def _locked(self) -> Iterator[int]:
        with reporting_disk_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield file
        finally:
            os.close(file)

    def _parse(self, content: bytes) -> tuple[int, int, int]:
        if not content:
            return 0, 0, 0
        try:
            samples, requests, free = (int(word) for word in content.decode("ascii").split())
        except ValueError:
            raise FolderError(
                f"{self.path} counts what the teacher was asked, but cannot be read; delete it to count from 0."
            ) from None
        return samples, requests, free
