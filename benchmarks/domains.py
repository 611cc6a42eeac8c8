"""MNIST and USPS without labels of the target: `python benchmarks/domains.py [run|page] --data DIR`.

LeNet-5 learns one set of digits with labels and sees the other without: source only, with each term that brings domains
together, and with each of them plus distillation from a larger network that was adapted in the same way by `mcc`. The
upper row learns from the target's own labels. All have the same views, steps and batch size. The test digits of the
target are asked once, by finished models; the best epoch of a model is chosen on validation digits of the source. Each
row is a run folder below `--work`: finished ones are read, not run again. Writes a dated page to benchmarks/results/.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from page import shown

import limbeck
from limbeck.evaluate.intervals import two_way
from limbeck.report import numbers
from limbeck.run.folder import REPORT

HERE = Path(__file__).parent
PLACES = {"mnist": "idx:{data}/mnist", "usps": "parquet:{data}/usps"}
TERMS = {
    "dan": ("DAN, maximum_mean_discrepancy", "maximum_mean_discrepancy"),
    "coral": ("CORAL, correlation_alignment", "correlation_alignment"),
    "mcc": ("MCC, minimum_class_confusion", "minimum_class_confusion"),
    "dann": ("DANN, domain_adversarial", "domain_adversarial"),
}
SOFT = "soft_labels: {temperature: 4, weight: 1}"
RECIPE = """\
name: {name}
seeds: {seeds}
data:
  source: "{source}"{target}
  size: 28
  augment: [rotate: {{degrees: 10}}, scale: {{share: 0.15}}, shift: {{pixels: 2}}]
{teacher}student:
  model: {model}
  train: {{steps: {steps}, batch_size: 128, lr: 0.003}}
objective: [{objective}]
controls: [{controls}]
export: {{onnx: false}}
"""


@dataclass(frozen=True)
class Direction:
    """From one set of digits to the other."""

    source: str
    target: str

    @property
    def name(self) -> str:
        """What it is called in folders."""
        return f"{self.source}-to-{self.target}"


DIRECTIONS = (Direction("mnist", "usps"), Direction("usps", "mnist"))


@dataclass(frozen=True)
class Bench:
    """Where runs are and how long they last."""

    data: str
    work: Path
    seeds: int
    steps: int

    def finish(
        self, way: Direction, name: str, objective: str, *, controls: str, model: str = "lenet5", teacher: str = "",
        upper: bool = False, seeds: int | None = None,
    ) -> Path:  # fmt: skip
        """Carry out one recipe in its folder, unless it is finished."""
        folder = self.work / f"{way.name}-{name}"
        if (folder / REPORT).is_file():
            return folder
        print(f"Running {folder.name}", file=sys.stderr, flush=True)
        places = {key: text.format(data=self.data) for key, text in PLACES.items()}
        text = RECIPE.format(
            name=folder.name, seeds=seeds or self.seeds, source=places[way.target if upper else way.source],
            target="" if upper else f'\n  target: "{places[way.target]}"', teacher=teacher, model=model,
            steps=self.steps, objective=objective, controls=controls,
        )  # fmt: skip
        recipe = self.work / f"{folder.name}.yaml"
        recipe.write_text(text, encoding="utf-8")
        limbeck.run_recipe(recipe, out=folder, resume=(folder / "recipe.yaml").is_file())
        return folder


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is not finished, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("run", "page"), nargs="?", default="run")
    parser.add_argument("--data", default=os.environ.get("LIMBECK_DATA"), help="holds mnist/ and usps/")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--work", type=Path, default=Path("runs/domains"), help="where the runs are")
    options = parser.parse_intermixed_args(arguments)
    if not options.data:
        parser.error("expected --data DIR or LIMBECK_DATA: the folder that holds mnist/ and usps/")
    options.work.mkdir(parents=True, exist_ok=True)
    bench = Bench(options.data, options.work, options.seeds, options.steps)
    if options.what == "run":
        for way in DIRECTIONS:
            carry_out(bench, way)
    print(write_page(bench))


def carry_out(bench: Bench, way: Direction) -> None:
    """Run every row of a direction."""
    bench.finish(way, "upper", "cross_entropy", controls="", upper=True)
    for key, (_, term) in TERMS.items():
        bench.finish(way, key, f"cross_entropy, {term}", controls="labels")
    adapted = "cross_entropy, minimum_class_confusion"
    teacher = bench.finish(way, "teacher", adapted, controls="", model="{cnn: {width: 32}}", seeds=1) / "student"
    section = f'teacher: {{source: "run:{teacher.as_posix()}"}}\n'
    for key, (_, term) in TERMS.items():
        objective = f"cross_entropy, {term}, {SOFT}"
        bench.finish(way, f"{key}-taught", objective, controls="labels, source_only", teacher=section)
    bench.finish(way, "taught", f"cross_entropy, {SOFT}", controls="labels", teacher=section)


def write_page(bench: Bench) -> Path:
    """Write the dated page."""
    first = limbeck.load(bench.work / f"{DIRECTIONS[0].name}-mcc").report
    where = first["environment"]
    date = first["created"][:10]
    lines = [
        f"# MNIST and USPS without labels of the target, {date}", "",
        f"`python benchmarks/domains.py`; {where['processor']}, {os.cpu_count()} cores, {where['threads']} thread(s), "
        f"{where['device']}; limbeck {first['limbeck']}, python {where['python']}, torch {where['torch']}. LeNet-5, "
        f"{bench.steps:,} steps of 128, seeds {', '.join(map(str, first['seeds']))}. Accuracy on the target's test "
        f"digits with 95 % intervals; gains over source only, paired by test digit and seed, in points. *Gap closed* "
        f"is the gain over source only as a share of what the target's own labels gain. Teacher of the taught rows: a "
        f"convolutional network of width 32, adapted by `mcc`, one seed, without a label of the target.", "",
    ]  # fmt: skip
    for way in DIRECTIONS:
        lines += [f"## {way.name}", "", *rows(bench, way), ""]
    notes = HERE / "notes" / "domains.md"
    if notes.is_file():
        lines += ["## Notes", "", notes.read_text(encoding="utf-8").strip(), ""]
    path = HERE / "results" / f"{date}-domains.md"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def rows(bench: Bench, way: Direction) -> Iterator[str]:
    """Yield the table of a direction."""
    base, upper = right(bench, way, "mcc", "labels"), right(bench, way, "upper", "student")
    room = float(upper.mean() - base.mean())
    teacher = limbeck.load(bench.work / f"{way.name}-teacher").report["models"]["student"]
    yield "| method | accuracy | gain over source only | gap closed | discrepancy | A-distance |"
    yield "|---|---:|---:|---:|---:|---:|"
    yield row(bench, way, "source only", "mcc", "labels", base, room)
    for key, (title, _) in TERMS.items():
        yield row(bench, way, title, key, "student", base, room)
        yield row(bench, way, f"{title} + distillation", f"{key}-taught", "student", base, room)
    yield row(bench, way, "distillation alone", "taught", "student", base, room)
    yield row(bench, way, "the target's own labels", "upper", "student", base, room)
    yield f"| the teacher | {shown('accuracy', teacher['metrics']['accuracy'])} | | | | |"


def row(bench: Bench, way: Direction, title: str, name: str, model: str, base: np.ndarray, room: float) -> str:
    """Return one line: a model of a run against source only."""
    report = limbeck.load(bench.work / f"{way.name}-{name}").report
    found = two_way(right(bench, way, name, model) - base)
    gain = f"{numbers.points(found.mean)} ({numbers.interval((found.low, found.high))})"
    gap = (report.get("domains") or {"models": {}})["models"].get(model, {})
    told = [f"{gap[key]:.3f}" if gap.get(key) is not None else "" for key in ("discrepancy", "proxy_distance")]
    cells = [title, shown("accuracy", report["models"][model]["metrics"]["accuracy"])]
    cells += ["", ""] if title == "source only" else [gain, f"{found.mean / room:.0%}"]
    return f"| {' | '.join([*cells, *told])} |"


def right(bench: Bench, way: Direction, name: str, model: str) -> np.ndarray:
    """Return which test digits a model got right, 0.0 or 1.0 [seeds, digits]."""
    table = pq.read_table(bench.work / f"{way.name}-{name}" / "predictions" / f"{model}.parquet")
    scores, labels = np.stack(table["scores"].to_numpy()), table["label"].to_numpy()
    seeds = len(set(table["seed"].to_numpy().tolist()))
    return (scores.argmax(1) == labels).astype(np.float64).reshape(seeds, -1)


if __name__ == "__main__":
    main()
