"""`limbeck evaluate`: models measured again, and with --robust asked about corrupted and attacked samples."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from limbeck.cli.printing import Json, print_found
from limbeck.errors import UserError

console = Console(stderr=True)


def evaluate(
    place: Annotated[Path, typer.Argument(help="A run folder, or the export/ folder of one.")],
    data: Annotated[
        str | None, typer.Option(help="Other data, such as folder:photos; otherwise the run's test split.")
    ] = None,
    robust: Annotated[
        bool, typer.Option("--robust", help="Ask about corrupted samples, and put the answers into a run's report.")
    ] = False,
    corruptions: Annotated[
        str | None,
        typer.Option(help="With --robust: corruptions or families of them, such as blur,jpeg, or none; else all."),
    ] = None,
    severities: Annotated[str | None, typer.Option(help="With --robust: of 1 to 5; 1,3,5 unless given.")] = None,
    attacks: Annotated[
        str | None,
        typer.Option(
            help="With --robust: some of fgsm, pgd, margin, square and transfer, or all; autoattack by name; else none."
        ),
    ] = None,
    epsilon: Annotated[
        str | None, typer.Option(help="With --attacks: radii, in pixels of 0..1; 8/255 unless given, 0.5 for l2.")
    ] = None,
    norm: Annotated[
        str | None, typer.Option(help="With --attacks: linf, the largest change of a pixel, or l2, of all together.")
    ] = None,
    samples: Annotated[int | None, typer.Option(help="With --robust: how many at most; 2,000 unless given.")] = None,
    ood: Annotated[
        str | None, typer.Option(help="With --robust: data of another kind, to be told from a model's own.")
    ] = None,
    budget: Annotated[float | None, typer.Option(help="With --robust: minutes, after which it stops.")] = None,
    as_json: Json = False,
) -> None:
    """Measure a run's models, or an exported file, on test samples."""
    if not robust and (wrong := _only_robust(corruptions, severities, attacks, epsilon, norm, samples, ood, budget)):
        raise UserError(f"--{wrong} goes with --robust.")
    if robust:
        from limbeck.cli.robust import attacks_of, measure_robustness, request_of, robust_table

        request = request_of(corruptions, severities, samples, ood, attacks_of(attacks, epsilon, norm), budget)
        found, table = measure_robustness(place, request, data, console), robust_table
    else:
        from limbeck.cli.tables import metrics_table
        from limbeck.run.evaluation import evaluate as measure

        found = measure(place, data, tell=lambda text: console.print(escape(text), highlight=False))
        table = metrics_table
    print_found(found, as_json, table)


def _only_robust(*given: object) -> str | None:
    """Return the first option that was given of those that stand beside --robust."""
    names = ("corruptions", "severities", "attacks", "epsilon", "norm", "samples", "ood", "budget")
    return next((name for name, value in zip(names, given, strict=True) if value is not None), None)
