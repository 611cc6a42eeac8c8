"""`limbeck rank`: candidates for a teacher in a table, the best first, while progress goes to stderr."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from limbeck.cli.narrow import Narrowing
from limbeck.run.ranking import rank
from limbeck.transfer.ranking import By, Ranked


def ranked(teachers: Sequence[str], data: str, samples: int, by: str, device: str, console: Console) -> list[Ranked]:
    """Return the candidates in order; how far it is, and the time left, is drawn on a terminal. by: see `rank`."""
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=24), TextColumn("left"), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        bar = progress.add_task("asking the candidates", total=samples * len(teachers))
        found = rank(
            teachers,
            data,
            samples=samples,
            by=cast(By, by),
            device=device,
            heard=lambda count: progress.advance(bar, count),
        )
    for one in found:
        if one.repeated:
            console.print(
                f"{one.teacher} was trained on {one.repeated:,} of these {one.samples:,} samples, which makes its "
                f"scores too good.", highlight=False, markup=False,
            )  # fmt: skip
    return found


def ranking_table(found: Sequence[Ranked]) -> Narrowing:
    """Return a row for each candidate; a dash where it has no classifier of its own."""
    rows = [
        [
            one.teacher, f"{one.probe:.1%}", f"{one.logme:.3f}", "-" if one.leep is None else f"{one.leep:.3f}",
            f"{one.parameters:,}", str(one.width), "-" if one.classes is None else str(one.classes),
        ]
        for one in found
    ]  # fmt: skip
    columns = ("teacher", "probe", "LogME", "LEEP", "params", "width", "classes")
    return Narrowing(columns, rows, spare=("classes", "width", "params"))
