"""`limbeck evaluate --robust`: what is asked for on the command line, and what is printed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.markup import escape

from limbeck.cli.narrow import Narrowing
from limbeck.errors import UserError
from limbeck.run.exam import Request
from limbeck.run.folder import is_run
from limbeck.run.pipeline import write_pages
from limbeck.run.result import read_report
from limbeck.run.robustness import measure


def request_of(
    corruptions: str | None, severities: str | None, samples: int | None, ood: str | None, budget: float | None
) -> Request:
    """Return the request that the options make; UserError where they cannot be meant."""
    usual = Request()
    return Request(
        corruptions=None if corruptions is None else tuple(_words(corruptions)),
        severities=usual.severities if severities is None else tuple(_number(word) for word in _words(severities)),
        samples=usual.samples if samples is None else samples,
        ood=ood,
        budget=budget,
    )


def measure_robustness(place: Path, request: Request, source: str | None, console: Console) -> dict[str, Any]:
    """Measure, with a line or on a terminal a status for each corruption, and render the pages of a run again."""
    with console.status("Asking about corrupted samples") as status:

        def tell(text: str) -> None:
            if console.is_terminal:
                status.update(escape(text))
            else:
                console.print(escape(text), highlight=False)

        found = measure(place, request, source, tell)
        if source is None and is_run(place):
            write_pages(place, read_report(place))
    if not found["settings"]["complete"]:
        done, of = len(found["corruptions"]), found["settings"]["corruptions"]
        kept = "; the same command goes on" if source is None else ""
        console.print(f"The budget ended after {done} of {of} corruptions{kept}.", highlight=False)
    return found


def robust_table(found: Mapping[str, Any]) -> Group:
    """Return clean and corrupted accuracy of all models, above the verdict's sentence."""
    rows = [
        [key, _rate(one["clean"]), _rate(one["corrupted"]), _bounds(one["corrupted"]), _rate(one["worst_class"]),
         "-" if one["mce"] is None else f"{one['mce']['mean']:.2f}"]
        for key, one in found["models"].items()
    ]  # fmt: skip
    columns = ("model", "clean", "corrupted", "95 %", "worst class", "mCE")
    table = Narrowing(columns, rows, spare=("worst class", "95 %"))
    return Group(table, *([escape(found["verdict"]["sentence"])] if found["verdict"] else []))


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _number(word: str) -> int:
    if not word.isdecimal():
        raise UserError(f"--severities are whole numbers from 1 to 5, such as 1,3,5; got {word!r}.")
    return int(word)


def _rate(entry: Mapping[str, Any] | None) -> str:
    return "-" if entry is None else f"{entry['mean']:.1%}"


def _bounds(entry: Mapping[str, Any] | None) -> str:
    return "-" if entry is None or entry["ci95"] is None else " to ".join(f"{100 * one:.1f}" for one in entry["ci95"])
