"""Transfer, distillation, or both? `python benchmarks/transfer.py --data DIR`, about twenty minutes on one core.

Two networks, a large one and a small one, learn five CIFAR-10 classes. Then the other five are learned by the small
one from few labels, in four ways: from new weights; from its own weights (transfer); from new weights, taught by the
large one that was moved to the same few labels (distillation); from its own weights and taught (both). All with as many
steps; what is taught sees the other pictures without labels. Each is a run folder below `--work`; finished ones are
read, not run again, and a killed one is resumed. Writes a dated page to benchmarks/results/ and a drawing to
docs/guide/, `--page` from what is finished.
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
import numpy as np
import pyarrow.parquet as pq
from matplotlib.figure import Figure
from numpy.typing import NDArray

import limbeck
from limbeck.data.contents import AS_FOUND
from limbeck.data.parquet import read_parquet
from limbeck.evaluate.intervals import two_way
from limbeck.report import numbers
from limbeck.run.folder import REPORT

HERE = Path(__file__).parent
TEST, TARGET, SOURCE = 10_000, 10_000, 25_000  # pictures; the first two of all classes, the last of the source's alone
FIRST, OTHER = "['0', '1', '2', '3', '4']", "['5', '6', '7', '8', '9']"
LARGE, SMALL = "{resnet: {depth: 8, width: 16}}", "{resnet: {depth: 8, width: 8}}"
LABELS = (50, 5, 20, 100, 10, 0)  # of each class, 0 for all; the first for five seeds
HEADLINE, SEEDS, MORE_SEEDS = 50, 3, 5
PRETRAINING, STEPS = 12, 200  # epochs; steps of every way
TAUGHT = "soft_labels: {temperature: 2, weight: 0.9}, cross_entropy: {weight: 0.1}"
WAYS = {"scratch": "from scratch", "transfer": "transfer", "distil": "distillation", "both": "transfer + distillation"}
COLOURS = {"scratch": "#77818e", "transfer": "#1660a8", "distil": "#b3541e", "both": "#1d7a46"}
PAIRS = (("both", "scratch"), ("both", "transfer"), ("both", "distil"), ("transfer", "scratch"), ("distil", "scratch"))
RECIPE = """\
name: {name}
seed: {seed}
seeds: 1
data:
  source: "npz:{data}"
  classes: {classes}
  {labels}
  augment: [shift: {{pixels: 4}}, flip]
  views: 2
{teacher}
student:
  model: {model}
  {source}
  train: {{{length}, batch_size: 64, lr: 0.005}}
objective: [{objective}]
controls: [{controls}]
export: {{onnx: false}}
"""


@dataclass(frozen=True)
class Fit:
    """One run: who learns, from where, from whom, of how many labels of each class (0 for all)."""

    name: str
    model: str
    seed: int = 0
    labels: int = 0
    source: str = ""
    teacher: str = ""
    classes: str = OTHER

    def text(self, work: Path) -> str:
        """Return the recipe."""
        start = f'source: "run:{(work / self.source).as_posix()}"' if self.source else "freeze: []"
        taught = f'teacher: {{source: "run:{(work / self.teacher / "student").as_posix()}"}}' if self.teacher else ""
        return RECIPE.format(
            name=self.name, seed=self.seed, data=(work / "cifar10.npz").as_posix(), classes=self.classes,
            labels=f"labels_per_class: {self.labels}" if self.labels else "validation: 0.1", model=self.model,
            source=start, teacher=taught,
            length=f"epochs: {PRETRAINING}" if self.classes == FIRST else f"steps: {STEPS}",
            objective=TAUGHT if self.teacher else "cross_entropy", controls="labels" if self.teacher else "",
        )  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    """Run everything that is not finished, write the page and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default=os.environ.get("LIMBECK_DATA"), help="holds cifar10/; default: $LIMBECK_DATA")
    parser.add_argument("--work", type=Path, default=Path("runs/transfer"), help="where the runs are")
    parser.add_argument("--page", action="store_true", help="only write the page of what is finished")
    options = parser.parse_args(arguments)
    if not options.data and not options.page:
        parser.error("expected --data DIR or LIMBECK_DATA: the folder that holds cifar10/")
    if not options.page:
        pictures(Path(options.data), options.work)
        for fit in fits():
            carry_out(fit, options.work)
    print(write_page(options.work, HERE / "results"))


def pictures(data: Path, work: Path) -> None:
    """Write the pictures once: the last training ones test, since the official ones are at hand only as JPEG."""
    path = work / "cifar10.npz"
    if path.is_file():
        return
    found = read_parquet(data / "cifar10" / "train.parquet", AS_FOUND).train
    x, y = np.asarray(found.inputs), np.asarray(found.labels)
    kept = np.arange(len(y)) < TARGET
    kept |= (np.arange(len(y)) < SOURCE) & (y < 5)
    work.mkdir(parents=True, exist_ok=True)
    np.savez(path, x_train=x[kept], y_train=y[kept], x_test=x[-TEST:], y_test=y[-TEST:])


def fits() -> Iterator[Fit]:
    """Yield all runs, each after those that it starts from."""
    yield Fit("source-large", LARGE, classes=FIRST)
    yield Fit("source-small", SMALL, classes=FIRST)
    for labels in LABELS:
        for seed in range(seeds_of(labels)):
            key = f"{labels}-{seed}"
            yield Fit(f"teacher-{key}", LARGE, seed, labels, source="source-large")
            yield Fit(f"both-{key}", SMALL, seed, labels, source="source-small", teacher=f"teacher-{key}")
            yield Fit(f"distil-{key}", SMALL, seed, labels, teacher=f"teacher-{key}")


def seeds_of(labels: int) -> int:
    """Return how many seeds a number of labels is tried with."""
    return MORE_SEEDS if labels == HEADLINE else SEEDS


def carry_out(fit: Fit, work: Path) -> None:
    """Run, go on with, or leave a run that is finished."""
    folder, recipe = work / fit.name, work / f"{fit.name}.yaml"
    if (folder / REPORT).is_file():
        return
    print(f"Running {fit.name}", file=sys.stderr, flush=True)
    recipe.write_text(fit.text(work), encoding="utf-8")
    limbeck.run_recipe(recipe, out=folder, resume=(folder / "recipe.yaml").is_file())


Right = dict[str, NDArray[np.float64]]


def right(work: Path, labels: int) -> Right:
    """Return which test pictures each way has right, 0 or 1 [seeds, N]; nothing where it is not finished."""
    keys = [f"{labels}-{seed}" for seed in range(seeds_of(labels))]
    if not all((work / f"distil-{key}" / REPORT).is_file() for key in keys):
        return {}
    where = {"scratch": ("distil", "labels"), "transfer": ("both", "labels"), "distil": ("distil", "student")}
    where |= {"both": ("both", "student"), "teacher": ("both", "teacher")}
    return {
        way: np.stack([answers(work / f"{run}-{key}" / "predictions" / f"{model}.parquet") for key in keys])
        for way, (run, model) in where.items()
    }


def answers(path: Path) -> NDArray[np.float64]:
    """Return whether a model is right, 0 or 1 [N]."""
    table = pq.read_table(path)
    scores = np.stack(table["scores"].to_numpy())
    found: NDArray[np.float64] = (scores.argmax(1) == table["label"].to_numpy()).astype(np.float64)
    return found


def write_page(work: Path, results: Path) -> Path:
    """Write the dated page, and the drawing beside the guide."""
    found = {labels: one for labels in sorted(LABELS, key=_order) if (one := right(work, labels))}
    if not found:
        raise SystemExit(f"Nothing is finished in {work}.")
    last = limbeck.load(work / f"distil-{next(iter(found))}-0").report
    dates = [limbeck.load(work / f"distil-{labels}-0").report["created"] for labels in found]
    date = max(dates)[:10]
    lines = [*_head(last, work, date), *_curve(found), *_gains(found)]
    notes = HERE / "notes" / "transfer.md"
    if notes.is_file():
        lines += ["## Notes", "", notes.read_text(encoding="utf-8").strip(), ""]
    path = results / f"{date}-transfer.md"
    path.write_text("\n".join(lines), encoding="utf-8")
    draw(found, HERE.parent / "docs" / "guide" / "transfer-curve.svg")
    return path


def _order(labels: int) -> float:
    return labels or float("inf")


def _named(labels: int) -> str:
    return str(labels) if labels else "all"


def _head(report: dict[str, Any], work: Path, date: str) -> Iterator[str]:
    where, data = report["environment"], report["data"]
    sources = [limbeck.load(work / f"source-{size}").report["models"]["student"] for size in ("large", "small")]
    known = [f"{100 * one['metrics']['accuracy']['mean']:.1f} %" for one in sources]
    counts = [numbers.count(one["parameters"]) for one in sources]
    yield from (
        f"# Transfer and distillation, {date}", "",
        f"`python benchmarks/transfer.py`; {where['processor']}, {os.cpu_count()} cores, {where['threads']} thread(s), "
        f"{where['device']}; limbeck {report['limbeck']}, python {where['python']}, torch {where['torch']}. "
        f"{SEEDS} seeds, {MORE_SEEDS} with {HEADLINE} labels.", "",
        f"CIFAR-10, airplane to deer (five classes, {SOURCE // 2:,} pictures, {PRETRAINING} epochs) to dog to truck. "
        f"Student: ResNet-8 of width 8, {counts[1]} parameters ({known[1]} of the first five classes); teacher: width "
        f"16, {counts[0]} parameters ({known[0]}), moved to the same labels as the student of the same seed. Every way "
        f"takes {STEPS} steps of 64 pictures; whoever starts from other weights probes for a quarter of them and then "
        f"tunes. What is taught sees all {data['train']:,} training pictures of its classes, with labels or without; "
        f"the others cycle through those with a label. Tested on {data['test']:,} of the last {TEST:,} training "
        f"pictures.", "",
    )  # fmt: skip


def _curve(found: dict[int, Right]) -> Iterator[str]:
    yield from ("## Accuracy, %", "", "Means over the seeds, with 95 % intervals over seeds and test pictures.", "")
    yield f"| labels of each class | {' | '.join(WAYS.values())} | teacher |"
    yield "|---|---:|---:|---:|---:|---:|"
    for labels, one in found.items():
        cells = [two_way(one[way]) for way in (*WAYS, "teacher")]
        told = [f"{100 * cell.mean:.1f} ({100 * cell.low:.1f} to {100 * cell.high:.1f})" for cell in cells]
        yield f"| {_named(labels)} | {' | '.join(told)} |"
    yield ""


def _gains(found: dict[int, Right]) -> Iterator[str]:
    yield from ("## Differences in points", "", "Paired by seed and picture, with 95 % intervals.", "")
    yield f"| labels of each class | {' | '.join(f'{WAYS[a]} over {WAYS[b]}' for a, b in PAIRS)} |"
    yield "|---|---:|---:|---:|---:|---:|"
    for labels, one in found.items():
        gains = [two_way(one[a] - one[b]) for a, b in PAIRS]
        told = [f"{numbers.points(gain.mean)} ({numbers.interval((gain.low, gain.high))})" for gain in gains]
        yield f"| {_named(labels)} | {' | '.join(told)} |"
    yield ""


def draw(found: dict[int, Right], path: Path) -> None:
    """Draw accuracy against labels of each class, a line for each way."""
    mpl.rcParams["svg.hashsalt"] = "transfer"
    figure = Figure(figsize=(6.4, 3.8), layout="constrained")
    ax, places = figure.subplots(), range(len(found))
    for way, title in WAYS.items():
        cells = [two_way(one[way]) for one in found.values()]
        means = np.array([100 * cell.mean for cell in cells])
        errors = [[100 * (cell.mean - cell.low) for cell in cells], [100 * (cell.high - cell.mean) for cell in cells]]
        ax.errorbar(places, means, errors, fmt="o-", color=COLOURS[way], capsize=3, label=title, linewidth=1.6)
    ax.set_xticks(places, [_named(labels) for labels in found])
    ax.set_xlabel("labels of each class")
    ax.set_ylabel("accuracy, %")
    ax.legend(frameon=False, fontsize=8)
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    main()
