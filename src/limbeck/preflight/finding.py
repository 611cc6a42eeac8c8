"""What a check says."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Level = Literal["fault", "warning", "note"]


@dataclass(frozen=True)
class Finding:
    """One sentence of preflight.

    level: a "fault" spoils the run, a "warning" deserves a look, a "note" says what was measured; name: the check's,
    always the same for the same kind of trouble; sentence: what was measured and, where it is bad, what to do.
    """

    level: Level
    name: str
    sentence: str


def has_fault(findings: Iterable[Finding]) -> bool:
    """Whether a run should not be started."""
    return any(finding.level == "fault" for finding in findings)
