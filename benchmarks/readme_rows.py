"""Print the README's results table from finished run folders: `python benchmarks/readme_rows.py --runs DIR`."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cases import CASES

from limbeck.run.result import read_report


def main() -> None:
    """Print one row for each shipped recipe that has a finished run."""
    parser = argparse.ArgumentParser(description="Print the README's results table.")
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    runs = parser.parse_args().runs
    for case in CASES:
        if case.key == case.recipe and (runs / case.key / "report.json").is_file():
            print(row(case.recipe, read_report(runs / case.key)))


def row(recipe: str, report: Mapping[str, Any]) -> str:
    """Return a table row: teacher, student, best control, gain and verdict, soft over hard labels."""
    verdict, models = report["verdict"], report["models"]
    against = models[report["stages"][-1]["controls"][verdict["against"]]]
    soft = verdict["over_teacher_labels"]
    page = f"benchmarks/results/2026-11-21-{recipe}.md"
    cells = [
        f"[{recipe}]({page})",
        accuracy(models["teacher"]),
        accuracy(models["student"]),
        f"{accuracy(against)} {verdict['against']}",
        f"{verdict['outcome']}, {gain(verdict)}",
        f"{soft['outcome']}, {gain(soft)}" if soft else "",
    ]
    return f"| {' | '.join(cells)} |"


def accuracy(model: Mapping[str, Any]) -> str:
    """Return '97.5 (95.5 to 98.7)'."""
    metric = model["metrics"]["accuracy"]
    low, high = metric["ci95"]
    return f"{100 * metric['mean']:.1f} ({100 * low:.1f} to {100 * high:.1f})"


def gain(verdict: Mapping[str, Any]) -> str:
    """Return '+7.2 (4.3 to 10.1)'."""
    low, high = verdict["ci95"]
    return f"{100 * verdict['gain']:+.1f} ({100 * low:.1f} to {100 * high:.1f})"


if __name__ == "__main__":
    main()
