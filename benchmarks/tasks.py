"""Distil where labels are no classes, and judge it: `python benchmarks/tasks.py`.

Regression is scikit-learn's diabetes set, as `recipes/diabetes.yaml` has it and with the other term for it; multi-label
is made by scikit-learn's `make_multilabel_classification`. A dated page goes to `benchmarks/results/`. A finished run
folder is read, not run again.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from page import shown
from sklearn.datasets import make_multilabel_classification

from limbeck.evaluate.intervals import two_way
from limbeck.evaluate.multi_label import average_precision, values_of
from limbeck.recipe.load import load_recipe, parse_recipe
from limbeck.recipe.model import Recipe
from limbeck.report import measures
from limbeck.run.folder import REPORT
from limbeck.run.pipeline import run
from limbeck.run.plan import plan_from_recipe
from limbeck.run.result import read_report

HERE = Path(__file__).parent
SHIPPED = HERE.parent / "recipes" / "diabetes.yaml"
LABELLED, VALIDATED = 150, 40  # of the made set's samples, where labels are few
MADE = """\
name: {name}
seeds: 5
data: {{source: "npz:{source}", task: multi_label}}
teacher: {teacher}
student: {{model: {{mlp: {{hidden: [16]}}}}, train: {{epochs: 60, batch_size: 64, lr: 0.003}}}}
objective: [binary_soft_labels: {{temperature: 2, weight: 0.9}}, binary_cross_entropy: {{weight: 0.1}}]
"""
TRAINED = "{model: {mlp: {hidden: [128, 128], dropout: 0.2}}, train: {epochs: 60, batch_size: 64, lr: 0.003}}"
BOUNDED = "objective=[bounded_regression: {weight: 0.5}, squared_error: {weight: 0.5}]"
ABOUT = f"""\
- *diabetes*: 442 patients, ten measurements, how far the disease went in a year; `soft_regression` 0.7 and
  `squared_error` 0.3. *diabetes-bounded*: `bounded_regression` in place of the teacher's value, half and half. Its
  control is the same.
- *made*: {{train:,}} training, {{validation:,}} validation and {{test:,}} test samples of 30 features with 8 labels,
  about 3 each, 5 % of all labels flipped. It is no natural data; it is there because its answer is known to be
  learnable.
- *made-few*: the same, but student and control see the labels of {LABELLED} training and {VALIDATED} validation
  samples; the teacher is that of *made*, which has seen all."""
SHOWN = {"regression": ("mse", "mae", "r2"), "multi_label": ("map", "auroc", "f1")}
DRAWS, LARGE = 300, 20_000  # simulated test sets; samples that the true figures are known from
COVERAGE = f"""\
{DRAWS} simulated test sets of 4 labels, which 10, 27, 43 and 60 % of the samples have: how often the 95 % interval of
the mean average precision holds the figure of very many samples, and that of a gain the true gain."""
Report = Mapping[str, Any]


def main() -> None:
    """Make the data, run what is not finished, write the page."""
    parser = argparse.ArgumentParser(description="Distil where labels are values or several at once.")
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--results", type=Path, default=HERE / "results")
    options = parser.parse_args()
    places = write_made(options.runs / "tasks")
    recipes = {
        "diabetes": load_recipe(SHIPPED),
        "diabetes-bounded": load_recipe(SHIPPED, [BOUNDED]),
        "made": parse_recipe(MADE.format(name="made", source=places["made"], teacher=TRAINED)),
        "made-few": parse_recipe(
            MADE.format(
                name="made-few", source=places["few"], teacher=f"{{source: 'run:{options.runs / 'task-made'}'}}"
            )
        ),
    }
    done = {name: finish(name, recipe, options.runs / f"task-{name}") for name, recipe in recipes.items()}
    print(write_page(options.results, done))


def write_made(folder: Path) -> dict[str, Path]:
    """Write the made set, and the same with the labels of a few samples alone."""
    folder.mkdir(parents=True, exist_ok=True)
    x, y = make_multilabel_classification(4000, 30, n_classes=8, n_labels=3, random_state=0)
    flipped = np.random.default_rng(0).random(y.shape) < 0.05
    y = np.where(flipped, 1 - y, y)
    parts = {"train": slice(0, 2000), "val": slice(2000, 2400), "test": slice(2400, 4000)}
    found = {f"{name}_{part}": values[rows] for part, rows in parts.items() for name, values in (("x", x), ("y", y))}
    few = {**found, "y_train": found["y_train"].copy(), "y_val": found["y_val"].copy()}
    few["y_train"][LABELLED:], few["y_val"][VALIDATED:] = -1, -1
    np.savez(folder / "made.npz", **found)
    np.savez(folder / "few.npz", **few)
    return {"made": folder / "made.npz", "few": folder / "few.npz"}


def finish(name: str, recipe: Recipe, folder: Path) -> Report:
    """Return the report of a finished run, run now where it is not."""
    if not (folder / REPORT).is_file():
        print(f"Running {name}", file=sys.stderr)
        run(plan_from_recipe(recipe), out=folder, resume=(folder / "recipe.yaml").is_file())
    return read_report(folder)


def write_page(results: Path, done: Mapping[str, Report]) -> Path:
    """Write the dated page and return its path."""
    first, made = done["diabetes"], done["made"]["data"]
    path, where = results / f"{first['created'][:10]}-tasks.md", first["environment"]
    recipe = MADE.format(name="made", source="made.npz", teacher=TRAINED).strip()
    lines = [
        f"# Regression and multi-label, {first['created'][:10]}", "", "`python benchmarks/tasks.py`", "",
        ABOUT.format(**made), "",
        f"- Seeds: {', '.join(map(str, first['seeds']))}; split seed {first['data']['split_seed']}; of diabetes "
        f"{first['data']['train']:,} train, {first['data']['validation']:,} validate, {first['data']['test']:,} test.",
        f"- Hardware: {where['processor']}, {os.cpu_count()} cores, {where['threads']} thread(s), {where['device']}.",
        f"- Versions: limbeck {first['limbeck']}, python {where['python']}, torch {where['torch']}, numpy "
        f"{where['numpy']}, scikit-learn {where['scikit-learn']}, onnxruntime {where['onnxruntime']}.", "",
    ]  # fmt: skip
    for task in SHOWN:
        lines += [*_models(task, {name: one for name, one in done.items() if one["task"] == task}), ""]
    lines += ["## Verdicts", ""]
    for name, report in done.items():
        lines += [f"- {name}: {report['verdict']['sentence']}", *(f"  {note}" for note in report["verdict"]["notes"])]
        lines += [f"  On the files themselves: {report['export']['verdict']['sentence']}"]
    lines += ["", *_coverage(), "", "## The recipe of the made set", "", "```yaml", recipe, "```", ""]
    results.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def _coverage() -> Iterator[str]:
    """Yield how often the 95 % interval holds the true mean average precision, and the true gain over five seeds."""
    yield from ("## Coverage of the intervals", "", COVERAGE, "")
    yield from _header("Test samples", "one model, one seed", "gain, paired, five seeds", texts=1)
    truth, gain = (float(np.mean([draw(seed, LARGE, 1).mean() for seed in range(4)])) for draw in (_alone, _paired))
    for count in (60, 120, 400):
        shares = [
            np.mean([_holds(draw(100 + number, count, seeds), value) for number in range(DRAWS)])
            for draw, seeds, value in ((_alone, 1, truth), (_paired, 5, gain))
        ]
        yield _row(f"{count}", *(f"{share:.1%}" for share in shares))


def _alone(seed: int, count: int, seeds: int) -> NDArray[np.float64]:
    return _drawn(seed, count, seeds)[0]


def _paired(seed: int, count: int, seeds: int) -> NDArray[np.float64]:
    first, second = _drawn(seed, count, seeds)
    return first - second


def _drawn(seed: int, count: int, seeds: int) -> list[NDArray[np.float64]]:
    """Return the values [S, N] of mean average precision of two models that err on the same samples, one more often."""
    random = np.random.default_rng(seed)
    truth = (random.random((count, 4)) < np.linspace(0.1, 0.6, 4)).astype(float)
    hard, own = random.normal(size=truth.shape), random.normal(size=(2, seeds, *truth.shape))
    return [
        np.stack([values_of(average_precision, truth - noise * (0.4 * hard + 0.3 * one), truth) for one in each])
        for noise, each in zip((1.0, 1.15), own, strict=True)
    ]


def _holds(values: NDArray[np.float64], truth: float) -> bool:
    found = two_way(values)
    return found.low is not None and found.high is not None and found.low <= truth <= found.high


def _models(task: str, done: Mapping[str, Report]) -> Iterator[str]:
    yield from (f"## {task.replace('_', '-').capitalize()}", "", "Means over the seeds, with 95 % intervals.", "")
    yield from _header("Run", "Model", *(measures.measure(name).label for name in SHOWN[task]), "Steps", "Parameters")
    for run_name, report in done.items():
        for name, model in report["models"].items():
            figures = [shown(metric, model["metrics"][metric]) for metric in SHOWN[task]]
            steps = "" if model["steps"] is None else f"{model['steps']:,}"
            yield _row(run_name, name, *figures, steps, f"{model['parameters']:,}")


def _header(*names: str, texts: int = 2) -> Iterator[str]:
    yield _row(*names)
    yield _row(*("---" for _ in names[:texts]), *("---:" for _ in names[texts:]))


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
