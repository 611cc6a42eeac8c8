"""How the time of a run grows: `python benchmarks/cost_curve.py --data DIR`, about eight minutes on two cores.

Against samples and epochs (MNIST), classes (made up), seeds, and points of a sweep (digits). Each point is a whole run
by the public API, repeated while that is cheap; the median counts. Writes a dated page to benchmarks/results/ and the
drawing to docs/guide/. `--quick` tries small ends of the axes once, into a folder of its own.
"""

from __future__ import annotations

import argparse
import itertools
import math
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.figure import Figure

import limbeck
from limbeck.models import MLP

HERE = Path(__file__).parent
REPEATS, ENOUGH = 3, 20.0  # times a point is measured, unless that has taken so many seconds
LINEAR = 1.1  # the largest log-log slope that is still called linear
FEATURES, ROWS = 32, 20_000
SWEEP = """\
name: sweep
seeds: 1
data: {source: digits}
teacher: {model: {mlp: {hidden: [64]}}, train: {epochs: 20}}
student: {model: {mlp: {hidden: [32]}}, train: {epochs: 20}}
objective: [soft_labels: {weight: 0.9}, cross_entropy: {weight: 0.1}]
controls: [labels]
export: {onnx: false}
"""


@dataclass(frozen=True)
class Axis:
    """One thing that grows. take: carries out one run at a value in a folder; what: in words."""

    name: str
    what: str
    values: tuple[int, ...]
    take: Callable[[int, Path], limbeck.Result]


@dataclass(frozen=True)
class Point:
    """Medians in seconds at a value: of the whole run, and of its fits alone."""

    value: int
    run: float
    fits: float


def axes(mnist: limbeck.Data) -> list[Axis]:
    """Return what is measured."""
    return [
        Axis("samples", "training samples (MNIST, 2 epochs)", (10_000, 20_000, 40_000, 60_000), Samples(mnist)),
        Axis("epochs", "epochs (10,000 samples of MNIST)", (1, 2, 5, 10, 20, 50), Epochs(mnist)),
        Axis("classes", f"classes ({ROWS:,} vectors, 1 epoch)", (10, 100, 1000, 10_000), classes),
        Axis("seeds", "seeds (10,000 samples of MNIST, 5 epochs)", (1, 2, 4, 8), Seeds(mnist)),
        Axis("points", "points of a sweep (digits, 20 epochs)", (1, 2, 4, 8), points),
    ]


@dataclass(frozen=True)
class Samples:
    mnist: limbeck.Data

    def __call__(self, value: int, folder: Path) -> limbeck.Result:
        return distil(some(self.mnist, value), folder, epochs=2)


@dataclass(frozen=True)
class Epochs:
    mnist: limbeck.Data

    def __call__(self, value: int, folder: Path) -> limbeck.Result:
        return distil(some(self.mnist, 10_000), folder, epochs=value)


@dataclass(frozen=True)
class Seeds:
    mnist: limbeck.Data

    def __call__(self, value: int, folder: Path) -> limbeck.Result:
        return distil(some(self.mnist, 10_000), folder, epochs=5, seeds=value)


def classes(value: int, folder: Path) -> limbeck.Result:
    inputs = torch.randn(ROWS, FEATURES, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(ROWS) % value
    test = (inputs[:1000], labels[:1000])
    data = limbeck.Data.from_arrays((inputs, labels), test, validation=0.025)
    return distil(data, folder, epochs=1)


def points(value: int, folder: Path) -> limbeck.Result:
    temperatures = [1.0 + number for number in range(value)]
    recipe = folder.with_suffix(".yaml")
    recipe.write_text(f"{SWEEP}sweep: {{objective.soft_labels.temperature: {temperatures}}}\n", encoding="utf-8")
    return limbeck.run_recipe(recipe, out=folder, device="cpu", progress=False)


def some(mnist: limbeck.Data, count: int) -> limbeck.Data:
    """Return the first rows of MNIST as data of their own; a tenth of them validates."""
    inputs, labels = mnist.pool.inputs[:count], mnist.pool.labels[:count]
    return limbeck.Data.from_arrays((inputs, labels), (mnist.test.inputs, mnist.test.labels), validation=0.1)


def distil(data: limbeck.Data, folder: Path, *, epochs: int, seeds: int = 1) -> limbeck.Result:
    """Distil a network that knows nothing, which costs what one that knows costs, without controls and export."""
    count = len(data.classes)
    torch.manual_seed(0)
    return limbeck.distill(
        MLP(data.shape, count, hidden=[256]), lambda: MLP(data.shape, count, hidden=[64]), data, epochs=epochs,
        seeds=seeds, controls=(), export=False, out=folder, device="cpu", progress=False,
    )  # fmt: skip


def measure(axis: Axis, values: Sequence[int], repeats: int, folder: Path) -> list[Point]:
    """Return a point for each value, after one run that is not counted."""
    axis.take(values[0], folder / f"{axis.name}-warm-up")
    found = []
    for value in values:
        runs, fits = [], []
        for number in range(repeats):
            begun = time.perf_counter()
            result = axis.take(value, folder / f"{axis.name}-{value}-{number}")
            runs.append(time.perf_counter() - begun)
            seconds = result.report["cost"]["seconds"]
            fits.append(sum(seconds[name] for name in ("teacher", "student", "controls")))
            if sum(runs) > ENOUGH:
                break
        found.append(Point(value, statistics.median(runs), statistics.median(fits)))
        print(f"{axis.name} {value:,}: run {found[-1].run:.2f} s, fits {found[-1].fits:.2f} s", flush=True)
    return found


def slope(found: Sequence[Point], of: Callable[[Point], float]) -> float:
    """Return the exponent b of the power law value^b that fits best (least squares of the logarithms)."""
    logs = [(math.log(one.value), math.log(max(of(one), 1e-3))) for one in found]
    return float(np.polyfit(*zip(*logs, strict=True), 1)[0])


def steepest(found: Sequence[Point], of: Callable[[Point], float]) -> float:
    """Return the largest exponent between two neighbours."""
    return max(slope(pair, of) for pair in itertools.pairwise(found))


def page(measured: dict[str, tuple[Axis, list[Point]]], date: str, repeats: int, notes: Path) -> str:
    """Return the page of results."""
    lines = [
        f"# Cost curve, {date}", "",
        f"`python benchmarks/cost_curve.py`; {platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} "
        f"threads; limbeck {limbeck.__version__}, python {platform.python_version()}, torch {torch.__version__}. "
        f"{'One run' if repeats == 1 else f'Medians of up to {repeats} runs'} for each point, seconds; seeds from 0. "
        f"*Run* is everything from the call to the report, *fits* the training alone. The exponent b is that of "
        f"value^b: 1 is linear, below is better.", "",
    ]  # fmt: skip
    for axis, found in measured.values():
        lines += [f"## {axis.what}", "", f"| {axis.name} | run | fits |", "|---:|---:|---:|"]
        lines += [f"| {one.value:,} | {one.run:.2f} | {one.fits:.2f} |" for one in found]
        lines += ["", *(_exponents(name, found, of) for name, of in (("run", _run), ("fits", _fits))), ""]
    if notes.is_file():
        lines += ["## Notes", "", notes.read_text(encoding="utf-8").strip(), ""]
    return "\n".join(lines)


def _run(point: Point) -> float:
    return point.run


def _fits(point: Point) -> float:
    return point.fits


def _exponents(name: str, found: Sequence[Point], of: Callable[[Point], float]) -> str:
    whole, worst = slope(found, of), steepest(found, of)
    said = "linear or better" if whole <= LINEAR else "steeper than linear"
    return f"- {name}: exponent {whole:.2f} ({said}), at the steepest {worst:.2f} between neighbours."


def draw(measured: dict[str, tuple[Axis, list[Point]]], path: Path) -> None:
    """Draw every axis, logarithmic both ways, beside a line of exponent 1."""
    mpl.rcParams["svg.hashsalt"] = "cost"
    figure = Figure(figsize=(3 * len(measured), 3.2), layout="constrained")
    for ax, (axis, found) in zip(figure.subplots(1, len(measured)), measured.values(), strict=True):
        values = [one.value for one in found]
        ax.loglog(values, [one.run for one in found], "o-", color="#1660a8", label="run")
        ax.loglog(values, [max(one.fits, 1e-3) for one in found], "s-", color="#77818e", label="fits")
        last = found[-1]
        ax.loglog(values, [last.fits * one / last.value for one in values], ":", color="#1d232b", label="linear")
        ax.set_xlabel(axis.what.partition(" (")[0])
        ax.set_xticks(values, [f"{one:,}" for one in values], fontsize=7)
        ax.minorticks_off()
    figure.axes[0].set_ylabel("seconds")
    figure.axes[0].legend(frameon=False, fontsize=8)
    figure.savefig(path, metadata={"Date": None})


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, write the page, draw."""
    parser = argparse.ArgumentParser(description="Measure how the time of a run grows.")
    parser.add_argument("--data", default=os.environ.get("LIMBECK_DATA"), help="holds mnist/; default: $LIMBECK_DATA")
    parser.add_argument("--quick", action="store_true", help="two small values of each axis, once")
    parser.add_argument("--repeats", type=int, default=REPEATS, help="how often a point is measured while it is cheap")
    parser.add_argument("--out", type=Path, help="a folder for page and drawing; --quick has one of its own")
    options = parser.parse_args(arguments)
    if not options.data:
        parser.error("expected --data DIR or LIMBECK_DATA: the folder that holds mnist/")
    os.environ["LIMBECK_CACHE"] = "off"
    mnist = limbeck.Data.open(f"idx:{options.data}/mnist")
    repeats = 1 if options.quick else options.repeats
    date, measured = datetime.now(UTC).date().isoformat(), {}
    with tempfile.TemporaryDirectory() as folder:
        for axis in axes(mnist):
            values = axis.values[:2] if options.quick else axis.values
            measured[axis.name] = (axis, measure(axis, values, repeats, Path(folder)))
    own = options.out or (Path(tempfile.mkdtemp()) if options.quick else None)
    if own:
        own.mkdir(parents=True, exist_ok=True)
    results, guide = (own, own) if own else (HERE / "results", HERE.parent / "docs" / "guide")
    text = page(measured, date, repeats, HERE / "notes" / "cost-curve.md")
    (results / f"{date}-cost-curve.md").write_text(text, encoding="utf-8")
    draw(measured, guide / "cost-curve.svg")
    print(text, results, guide, sep="\n")


if __name__ == "__main__":
    main()
