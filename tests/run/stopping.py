"""Runs that are stopped in the middle, and what of a report no clock decides; shared by the tests of resuming."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from limbeck.run.watch import Silent
from limbeck.types import Record


class Stopping(Silent):
    """Stops a run at the n-th epoch that it hears of, as Ctrl-C does."""

    def __init__(self, epoch: int) -> None:
        self.left = epoch

    def record(self, record: Record) -> None:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


def figures(folder: Path) -> dict[str, Any]:
    """Return the report without what a clock decides, or how the teacher's answers were kept."""
    report: dict[str, Any] = json.loads((folder / "report.json").read_text("utf-8"))
    del report["created"], report["environment"], report["cost"]["seconds"], report["cost"]["peak_memory_mib"]
    del report["cost"]["knowledge"], report["cost"]["teacher_spot_checks"]
    for entry in report["models"].values():
        del entry["latency_ms"]
    return report
