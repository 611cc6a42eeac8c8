"""`limbeck run` and `limbeck demo`: from a recipe to the summary in the terminal."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from limbeck.cli.progress import Bars
from limbeck.cli.rank import launched_rank
from limbeck.cli.stop import stoppable
from limbeck.cli.tables import files_table, profile_tables, report_table, sweep_table
from limbeck.recipe.model import Recipe
from limbeck.run.board import require_board
from limbeck.run.device import pick_device
from limbeck.run.pipeline import run
from limbeck.run.plan import plan_from_recipe
from limbeck.run.profile import PROFILE, Profile, measuring
from limbeck.run.result import read_report


@dataclass(frozen=True)
class Asked:
    """What the command line asks of a run; see `limbeck run --help`. is_demo: whether the command was `demo`."""

    out: Path | None = None
    resume: bool = False
    force: bool = False
    device: str = "auto"
    is_demo: bool = False
    trust: bool = False
    as_json: bool = False
    profile: bool = False
    track: bool = False


def carry_out(recipe: Recipe, asked: Asked, console: Console) -> None:
    """Carry out a recipe and print what was found: the last line of stdout is the report's path, or all of it JSON."""
    if asked.track:
        require_board()
    device = pick_device(asked.device)
    profile = Profile(device) if asked.profile else None
    with stoppable(recipe, asked.out, demo=asked.is_demo):
        with measuring(profile, "reading the data"):
            plan = plan_from_recipe(recipe, trust=asked.trust)
        with Bars(console) as bars:
            folder = run(
                plan, out=asked.out, resume=asked.resume, force=asked.force, device=device, watcher=bars,
                profile=profile,
            )  # fmt: skip
    if launched_rank() != 0:
        return
    found = read_report(folder)
    if asked.as_json:
        print(json.dumps(found))
        return
    _sum_up(found, console)
    if profile is not None:
        _show(profile, folder, console)
    print(folder / "report.html")


def _sum_up(report: Mapping[str, Any], console: Console) -> None:
    """Print figures, verdict and notes of a run to stderr."""
    if report["variants"]:
        console.print(sweep_table(report))
    console.print(report_table(report))
    if report["export"]:
        console.print(files_table(report))
    verdict = report["verdict"]
    sentences = []
    if verdict is not None:
        soft = verdict["over_teacher_labels"]
        sentences = [verdict["sentence"], *([soft["sentence"]] if soft else []), *verdict["notes"]]
    int8 = (report["export"] or {}).get("int8")
    gate = [int8["gate"]["sentence"]] if int8 and not int8["file"] else []
    for text in (*sentences, *report["data"]["notes"], *gate):
        console.print(escape(text), highlight=False)


def _show(profile: Profile, folder: Path, console: Console) -> None:
    """Print where the time went to stderr."""
    for table in profile_tables(profile.summary()):
        console.print(table)
    console.print(f"Written, with traces for Perfetto, to {escape(str(folder / PROFILE))}", highlight=False)
