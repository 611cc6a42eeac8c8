"""Grow trees on soft labels and on labels: `python benchmarks/trees.py --data DIR`; a dated page for the results.

A run folder that is finished already is read, not run again.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from limbeck.recipe.load import load_recipe
from limbeck.report import numbers
from limbeck.run.folder import REPORT
from limbeck.run.pipeline import run
from limbeck.run.plan import plan_from_recipe
from limbeck.run.result import read_report

HERE = Path(__file__).parent
RECIPE = HERE.parent / "recipes" / "trees-digits.yaml"
DIGITS = ("teacher={source: 'run:{runs}/trees-digits--20-labels-each--tree'}",)  # trained once
ALL = (*DIGITS, "data.labels_per_class=null")
FIRST = (
    "data={source: 'idx:$LIMBECK_DATA/mnist', validation: 0.8333333}",
    "teacher={model: {cnn: {width: 16}}, train: {epochs: 4, batch_size: 128, lr: 0.01}}",
)
MNIST = (FIRST[0], "teacher={source: 'run:{runs}/trees-mnist-10-000--all-labels--tree'}")
FOREST = ("student.model={forest: {trees: 20, max_depth: 10}}",)
BOOSTING = ("student.model={boosting: {rounds: 50}}",)
WARM, HOT = (f"objective.soft_labels.temperature={one}" for one in (2, 4))
VERSIONS = ("torch", "numpy", "scikit-learn", "onnxruntime")
Report = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """One run. title: what the page calls it; settings: as for --set, with {runs} for the folder of runs."""

    title: str
    settings: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """The run's folder."""
        return "trees-" + "".join(one if one.isalnum() else "-" for one in self.title.lower())


CASES = (
    Case("digits, 20 labels each, tree"),
    Case("digits, 20 labels each, tree, T 2", (*DIGITS, WARM)),
    Case("digits, 20 labels each, tree, T 4", (*DIGITS, HOT)),
    Case("digits, 20 labels each, forest", (*DIGITS, *FOREST)),
    Case("digits, 20 labels each, boosting", (*DIGITS, *BOOSTING)),
    Case("digits, all labels, tree", ALL),
    Case("digits, all labels, tree, T 4", (*ALL, HOT)),
    Case("digits, all labels, forest", (*ALL, *FOREST)),
    Case("digits, all labels, boosting", (*ALL, *BOOSTING)),
    Case("MNIST 10,000, all labels, tree", FIRST),
    Case("MNIST 10,000, 20 labels each, tree", (*MNIST, "data.labels_per_class=20")),
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is not finished, write the page."""
    parser = argparse.ArgumentParser(description="Grow trees on soft labels and on labels.")
    parser.add_argument("--data", default=os.environ.get("LIMBECK_DATA"), help="default: $LIMBECK_DATA")
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--results", type=Path, default=HERE / "results")
    parser.add_argument("--only", default="", help="cases whose title has this text, without a page")
    options = parser.parse_args(arguments)
    if options.data:
        os.environ["LIMBECK_DATA"] = options.data
    found = [(case, finish(case, options.runs)) for case in CASES if options.only in case.title]
    for case, report in found:
        print(row(case, report))
    if not options.only:
        print(write_page(options.results, found))


def finish(case: Case, runs: Path) -> Report:
    """Return the report of a case; run it, or go on with it, where it is not finished."""
    folder = runs / case.key
    if not (folder / REPORT).is_file():
        print(f"Running {case.title}", file=sys.stderr)
        settings = [setting.replace("{runs}", str(runs)) for setting in case.settings]
        run(plan_from_recipe(load_recipe(RECIPE, settings)), out=folder, resume=(folder / "recipe.yaml").is_file())
    return read_report(folder)


def write_page(results: Path, found: Sequence[tuple[Case, Report]]) -> Path:
    """Write the dated page and return its path."""
    date = found[0][1]["created"][:10]
    path = results / f"{date}-trees.md"
    notes = (HERE / "notes" / "trees.md").read_text(encoding="utf-8").strip()
    lines = [*_head(date, found), *_table(found), *_sizes(found), "## Notes", "", notes, ""]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def _head(date: str, found: Sequence[tuple[Case, Report]]) -> Iterator[str]:
    where = found[0][1]["environment"]
    versions = ", ".join(f"{name} {where[name]}" for name in VERSIONS)
    seconds = sum(report["cost"]["seconds"]["total"] for _, report in found)
    yield from (
        f"# Trees on soft labels, {date}",
        "",
        "```",
        "python benchmarks/trees.py --data $LIMBECK_DATA",
        "```",
        "",
    )
    yield from (
        f"- Seeds: {', '.join(map(str, found[0][1]['seeds']))}.",
        f"- Hardware: {where['processor']}, {os.cpu_count()} cores, {where['threads']} thread(s), {where['device']}; "
        f"{numbers.duration(seconds)} for all runs, beside other work.",
        f"- Versions: limbeck {found[0][1]['limbeck']}, python {where['python']}, {versions}.",
        "",
    )


def _table(found: Sequence[tuple[Case, Report]]) -> Iterator[str]:
    yield from (
        "## Accuracy",
        "",
        "Means over the seeds, on test samples, in percent. The gain is over the best control",
    )
    yield from ("without a teacher, in points with its 95 % interval; T is 1 unless said.", "")
    yield "| case | teacher | student | on labels | on teacher's top class | verdict | log loss: student | on labels |"
    yield "|---|---|---|---|---|---|---|---|"
    yield from (row(case, report) for case, report in found)
    yield ""


def row(case: Case, report: Report) -> str:
    """Return the line of a case."""
    models, verdict = report["models"], report["verdict"]
    right = [numbers.percent(models[key]["metrics"]["accuracy"]["mean"]) for key in _SHOWN]
    losses = [numbers.fixed(models[key]["metrics"]["nll"]["mean"], 3) for key in ("student", "labels")]
    gain = f"{verdict['outcome']} against {verdict['against']}, {numbers.points(verdict['gain'])}"
    return (
        f"| {case.title} | {' | '.join(right)} | {gain} ({numbers.interval(verdict['ci95'])}) | {' | '.join(losses)} |"
    )


_SHOWN = ("teacher", "student", "labels", "teacher_labels")


def _sizes(found: Sequence[tuple[Case, Report]]) -> Iterator[str]:
    yield from ("## Size and speed", "", "Of the exported file, one sample at a time on one thread.", "")
    yield "| case | parameters | bytes of the file | p50, ms | teacher's parameters |"
    yield "|---|---|---|---|---|"
    for case, report in found:
        file, models = report["export"]["onnx"], report["models"]
        alone = next(one["p50"] for one in file["latency_ms"] if one["threads"] == 1)
        cells = [
            numbers.count(models["student"]["parameters"]),
            numbers.count(file["bytes"]),
            numbers.significant(alone),
        ]
        yield f"| {case.title} | {' | '.join(cells)} | {numbers.count(models['teacher']['parameters'])} |"
    yield ""


if __name__ == "__main__":
    main()
