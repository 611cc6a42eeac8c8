"""`limbeck evaluate --robust`: what is asked for on the command line, and what is printed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from rich.console import Console, Group
from rich.markup import escape

from limbeck.cli.narrow import Narrowing
from limbeck.errors import UserError
from limbeck.objectives.ball import Norm
from limbeck.report.attacks import attack_title, radius
from limbeck.run.attacks import AttackRequest
from limbeck.run.exam import Request
from limbeck.run.folder import is_run
from limbeck.run.pipeline import write_pages
from limbeck.run.result import read_report
from limbeck.run.robustness import measure

NONE = "none"


def request_of(
    corruptions: str | None,
    severities: str | None,
    samples: int | None,
    ood: str | None,
    attacks: AttackRequest | None,
    budget: float | None,
) -> Request:
    """Return the request that the options make; UserError where they cannot be meant."""
    usual = Request()
    return Request(
        corruptions=None if corruptions is None else () if corruptions == NONE else tuple(_words(corruptions)),
        severities=usual.severities if severities is None else tuple(_number(word) for word in _words(severities)),
        samples=usual.samples if samples is None else samples,
        ood=ood,
        attacks=attacks,
        budget=budget,
    )


def attacks_of(attacks: str | None, epsilon: str | None, norm: str | None) -> AttackRequest | None:
    """Return what the options about attacks ask for, None for no attack; UserError where they cannot be meant."""
    if attacks is None:
        if epsilon is not None or norm is not None:
            raise UserError(f"--{'norm' if epsilon is None else 'epsilon'} goes with --attacks.")
        return None
    radii = () if epsilon is None else tuple(_fraction(word) for word in _words(epsilon))
    return AttackRequest(tuple(_words(attacks)), radii, cast("Norm", norm or "linf"))  # which checks it


def measure_robustness(place: Path, request: Request, source: str | None, console: Console) -> dict[str, Any]:
    """Measure, with a line or on a terminal a status for each corruption, and render the pages of a run again."""
    with console.status("Asking about changed samples") as status:

        def tell(text: str) -> None:
            if console.is_terminal:
                status.update(escape(text))
            else:
                console.print(escape(text), highlight=False)

        found = measure(place, request, source, tell)
        if source is None and is_run(place):
            write_pages(place, read_report(place))
    attacks = found["attacks"]
    if not (found["settings"]["complete"] and (attacks is None or attacks["settings"]["complete"])):
        done, of = len(found["corruptions"]), found["settings"]["corruptions"]
        before = " and before all attacks" if attacks is not None else ""
        kept = "; the same command goes on" if source is None else ""
        console.print(f"The budget ended after {done} of {of} corruptions{before}{kept}.", highlight=False)
    return found


def robust_table(found: Mapping[str, Any]) -> Group:
    """Return clean and corrupted accuracy of all models, and accuracy under attack, above the verdicts' sentences."""
    rows = [
        [key, _rate(one["clean"]), _rate(one["corrupted"]), _bounds(one["corrupted"]), _rate(one["worst_class"]),
         "-" if one["mce"] is None else f"{one['mce']['mean']:.2f}"]
        for key, one in found["models"].items()
    ]  # fmt: skip
    columns = ("model", "clean", "corrupted", "95 %", "worst class", "mCE")
    table = Narrowing(columns, rows, spare=("worst class", "95 %"))
    told = [escape(found["verdict"]["sentence"])] if found["verdict"] else []
    return Group(table, *told, *([] if found["attacks"] is None else _attack_lines(found["attacks"])))


def _attack_lines(attacks: Mapping[str, Any]) -> list[Narrowing | str]:
    """Return a table of accuracies under attack, warnings and the sentences about what matters most."""
    settings = attacks["settings"]
    names, norm = settings["names"], settings["norm"]
    rows = [
        [key, radius(one["epsilon"], norm), *(_rate(one["accuracy"][name]) for name in names), _rate(one["worst"])]
        for key, model in attacks["models"].items()
        for one in model["figures"]
    ]
    worst = [one for one in attacks["verdicts"] if one["attack"] == "worst" or len(names) == 1]
    warnings = [f"{key}: {text}" for key, model in attacks["models"].items() for text in model["warnings"]]
    table = Narrowing(("model", "within", *names, "worst"), rows, spare=("fgsm", "transfer"))
    told = [f"{attack_title(one, norm)}: {one['sentence']}" for one in worst]
    return [*([table] if rows else []), *map(escape, warnings), *map(escape, told)]


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _number(word: str) -> int:
    if not word.isdecimal():
        raise UserError(f"--severities are whole numbers from 1 to 5, such as 1,3,5; got {word!r}.")
    return int(word)


def _fraction(word: str) -> float:
    """Return a number that is written as such or as a fraction, 8/255."""
    above, _, below = word.partition("/")
    try:
        return float(above) / (float(below) if below else 1.0)
    except (ValueError, ZeroDivisionError):
        raise UserError(f"--epsilon expects numbers in 0..1 such as 8/255 or 0.1, got {word!r}.") from None


def _rate(entry: Mapping[str, Any] | None) -> str:
    return "-" if entry is None else f"{entry['mean']:.1%}"


def _bounds(entry: Mapping[str, Any] | None) -> str:
    return "-" if entry is None or entry["ci95"] is None else " to ".join(f"{100 * one:.1f}" for one in entry["ci95"])
