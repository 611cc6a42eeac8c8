"""The two trade-offs of systems S2 and S3 as curves: `python benchmarks/tradeoffs.py --data DIR`, about a quarter hour.

S2: alpha, the weight of the student's own entropy; S3: lambda, the weight of the squared weights. Both are the shipped
recipes with a sweep of that weight; every point has controls of its own, which keep the term and lose the teacher. A
finished run is read, not run again. Writes a dated page to benchmarks/results/ and the drawing to docs/guide/.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from page import shown

import limbeck
from limbeck.report import measures, numbers
from limbeck.run.folder import REPORT

HERE = Path(__file__).parent
RECIPES = HERE.parent / "recipes"
SHOWN = ("accuracy", "nll", "ece")


@dataclass(frozen=True)
class Curve:
    """A sweep of one weight. recipe: its name; term: whose weight; symbol: as the articles write it."""

    recipe: str
    term: str
    symbol: str
    values: tuple[float, ...]


CURVES = (
    Curve("s2-compact-entropy", "entropy_penalty", "alpha", (-1.0, -0.3, -0.1, 0.0, 0.1, 0.3, 1.0)),
    Curve("s3-black-box-soft-targets", "weight_penalty", "lambda", (0.0, 0.00001, 0.0001, 0.001, 0.01, 0.1)),
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run both sweeps, write the page and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default=os.environ.get("LIMBECK_DATA"), help="holds mnist/; default: $LIMBECK_DATA")
    parser.add_argument("--work", type=Path, default=Path("runs/tradeoffs"), help="where the runs are")
    options = parser.parse_args(arguments)
    if not options.data:
        parser.error("expected --data DIR or LIMBECK_DATA: the folder that holds mnist/")
    os.environ["LIMBECK_DATA"] = str(options.data)
    found = {curve.recipe: finish(curve, options.work) for curve in CURVES}
    date = max(one["created"] for one in found.values())[:10]
    path = HERE / "results" / f"{date}-tradeoffs.md"
    path.write_text("\n".join(page(found, date)), encoding="utf-8")
    draw(found, HERE.parent / "docs" / "guide" / "tradeoffs.svg")
    print(path)


def finish(curve: Curve, work: Path) -> dict[str, Any]:
    """Return the report of a sweep, carried out unless it is finished."""
    folder = work / curve.recipe
    if not (folder / REPORT).is_file():
        print(f"Running {curve.recipe}", file=sys.stderr, flush=True)
        settings = (
            f"sweep.objective.{curve.term}.weight={list(curve.values)}", "controls=[labels, smoothing]",
            "export.onnx=false", "export.int8=false",
        )  # fmt: skip
        recipe = RECIPES / f"{curve.recipe}.yaml"
        limbeck.run_recipe(recipe, settings, out=folder, resume=(folder / "recipe.yaml").is_file())
    return limbeck.load(folder).report


def page(found: dict[str, dict[str, Any]], date: str) -> Iterator[str]:
    """Yield the lines of the page."""
    where = found[CURVES[0].recipe]["environment"]
    yield from (
        f"# Trade-offs of S2 and S3, {date}", "",
        f"`python benchmarks/tradeoffs.py`; {where['processor']}, {os.cpu_count()} cores, {where['threads']} "
        f"thread(s), {where['device']}; limbeck {found[CURVES[0].recipe]['limbeck']}, python {where['python']}, torch "
        f"{where['torch']}. The shipped recipes, swept. Gains in points against the best control without a teacher, "
        f"which keeps the term at the same weight; the outcome is corrected for the number of points (Holm).", "",
    )  # fmt: skip
    for curve in CURVES:
        report = found[curve.recipe]
        yield from (f"## {curve.recipe}: {curve.symbol}", "", f"Seeds {', '.join(map(str, report['seeds']))}.", "")
        heads = [curve.symbol, *(measures.measure(name).label for name in SHOWN), "labels alone", "gain", "verdict"]
        yield f"| {' | '.join(heads)} |"
        yield "|---:|---:|---:|---:|---:|---:|---|"
        for value, variant in zip(curve.values, report["variants"], strict=True):
            verdict = variant["verdict"]
            cells = [f"{value:g}", *(shown(name, variant["metrics"][name]) for name in SHOWN)]
            cells += [shown("accuracy", variant["controls"]["labels"])]
            cells += [f"{numbers.points(verdict['gain'])} ({numbers.interval(verdict['ci95'])})", verdict["outcome"]]
            yield f"| {' | '.join(cells)} |"
        yield ""
    notes = HERE / "notes" / "tradeoffs.md"
    if notes.is_file():
        yield from ("## Notes", "", notes.read_text(encoding="utf-8").strip(), "")


def draw(found: dict[str, dict[str, Any]], path: Path) -> None:
    """Draw accuracy and negative log-likelihood of student and control against the weight."""
    mpl.rcParams["svg.hashsalt"] = "tradeoffs"
    figure = Figure(figsize=(8.4, 5.6), layout="constrained")
    panels = figure.subplots(2, len(CURVES))
    for column, curve in enumerate(CURVES):
        variants = found[curve.recipe]["variants"]
        places = range(len(curve.values))
        for row, name in enumerate(("accuracy", "nll")):
            ax = panels[row][column]
            values = [variant["metrics"][name] for variant in variants]
            line(ax, places, values, "o-", "#1660a8", "student")
            if name == "accuracy":
                line(ax, places, [variant["controls"]["labels"] for variant in variants], "s--", "#77818e", "labels")
                ax.set_title(f"{curve.recipe.partition('-')[0].upper()}: {curve.symbol}", fontsize=10)
            ax.set_xticks(list(places), [f"{value:g}" for value in curve.values])
            ax.set_ylabel(measures.measure(name).label)
        panels[1][column].set_xlabel(curve.symbol)
    panels[0][0].legend(frameon=False, fontsize=8)
    figure.savefig(path, metadata={"Date": None})


def line(ax: Any, places: Sequence[int], values: Sequence[dict[str, Any]], style: str, colour: str, label: str) -> None:
    """Draw means with their intervals."""
    means = [one["mean"] for one in values]
    below = [one["mean"] - one["ci95"][0] for one in values]
    above = [one["ci95"][1] - one["mean"] for one in values]
    ax.errorbar(list(places), means, [below, above], fmt=style, color=colour, label=label, capsize=3)


if __name__ == "__main__":
    main()
