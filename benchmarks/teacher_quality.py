"""What does a better teacher give? `python benchmarks/teacher_quality.py --data DIR`, about ten minutes on two cores.

Teachers from weak to strong, one that is over-fitted and one that learned from labels of which a tenth was wrong, all
on the same 10,000 MNIST digits, teach the same small student: once with every label, once with twenty of each class.
Each is a run with the controls `labels` and `smoothing` and five seeds; finished ones are read, not run again. Writes a
dated page to benchmarks/results/ and the drawing to docs/guide/.
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
from matplotlib.figure import Figure

import limbeck
from limbeck.report import measures, numbers
from limbeck.run.folder import REPORT

HERE = Path(__file__).parent
PICTURES, FEW, WRONG, SEEDS = 10_000, 500, 0.1, 5
HALF = 0.5  # accuracies above it are named on their left
CNN, WIDE = "{cnn: {width: 32}}", "{mlp: {hidden: [1200, 1200]}}"


@dataclass(frozen=True)
class Teacher:
    """How a teacher is made. digits: of the 10,000 it learns from; wrong: share of its labels that are wrong."""

    title: str
    model: str
    train: str
    digits: int = PICTURES
    wrong: float = 0.0


TEACHERS = {
    "weak": Teacher("weak: 20 steps", CNN, "steps: 20, lr: 0.003"),
    "fair": Teacher("fair: 60 steps", CNN, "steps: 60, lr: 0.003"),
    "good": Teacher("good: 3 epochs", CNN, "epochs: 3, lr: 0.005"),
    "strong": Teacher("strong: 20 epochs, shifted views", CNN, "epochs: 20, lr: 0.005, augment: [shift: {pixels: 2}]"),
    "over-fitted": Teacher(
        "over-fitted: 200 epochs on 500 digits", WIDE, "epochs: 200, lr: 0.001, weight_decay: 0", digits=FEW
    ),
    "wrong labels": Teacher(
        "a tenth of its labels wrong, 40 epochs", WIDE, "epochs: 40, lr: 0.001, weight_decay: 0", wrong=WRONG
    ),
}
SETTINGS = {"all": ("every label", ""), "few": ("20 labels of each class", "labels_per_class: 20, ")}
RECIPE = """\
name: {name}
seeds: {seeds}
data: {{source: "npz:{data}", {labels}validation: 0.1}}
teacher: {teacher}
student: {{model: {{mlp: {{hidden: [32]}}}}, train: {{epochs: 20, lr: 0.005}}}}
objective: [soft_labels: {{temperature: 4, weight: 0.9}}, cross_entropy: {{weight: 0.1}}]
controls: [{controls}]
export: {{onnx: false}}
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Train the teachers, run both settings with each, write the page and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default=os.environ.get("LIMBECK_DATA"), help="holds mnist/; default: $LIMBECK_DATA")
    parser.add_argument("--work", type=Path, default=Path("runs/teacher-quality"), help="where the runs are")
    options = parser.parse_args(arguments)
    if not options.data:
        parser.error("expected --data DIR or LIMBECK_DATA: the folder that holds mnist/")
    options.work.mkdir(parents=True, exist_ok=True)
    mnist = limbeck.Data.open(f"idx:{options.data}/mnist")
    found = {}
    for name, teacher in TEACHERS.items():
        trained = make(name, teacher, mnist, options.work)
        for key, (_, labels) in SETTINGS.items():
            source = f'{{source: "run:{trained.as_posix()}"}}'
            found[name, key] = finish(
                f"{name}-{key}".replace(" ", "-"), write(mnist, options.work / "digits.npz"), source, options.work,
                labels=labels, controls="labels, smoothing", seeds=SEEDS,
            )  # fmt: skip
    date = max(one["created"] for one in found.values())[:10]
    path = HERE / "results" / f"{date}-teacher-quality.md"
    path.write_text("\n".join(page(found, date)), encoding="utf-8")
    draw(found, HERE.parent / "docs" / "guide" / "teacher-quality.svg")
    print(path)


def make(name: str, teacher: Teacher, mnist: limbeck.Data, work: Path) -> Path:
    """Return the run folder of a trained teacher; its student is not used."""
    name = name.replace(" ", "-")
    data = write(mnist, work / f"{name}.npz", teacher.digits, teacher.wrong)
    section = f"{{model: {teacher.model}, train: {{{teacher.train}}}}}"
    finish(name, data, section, work, labels="", controls="", seeds=1)
    return work / name


def write(mnist: limbeck.Data, path: Path, digits: int = PICTURES, wrong: float = 0.0) -> Path:
    """Write the first digits to a file, a share of the labels moved to another class, beside the test digits."""
    if not path.is_file():
        x, y = mnist.pool.inputs[:digits].numpy(), mnist.pool.labels[:digits].numpy().copy()
        random = np.random.default_rng(0)
        moved = random.random(digits) < wrong
        y[moved] = (y[moved] + random.integers(1, 10, int(moved.sum()))) % 10
        np.savez(path, x_train=x, y_train=y, x_test=mnist.test.inputs.numpy(), y_test=mnist.test.labels.numpy())
    return path


def finish(
    name: str, data: Path, teacher: str, work: Path, *, labels: str, controls: str, seeds: int
) -> dict[str, Any]:
    """Return the report of a run, carried out unless it is finished."""
    folder, recipe = work / name, work / f"{name}.yaml"
    if not (folder / REPORT).is_file():
        print(f"Running {name}", file=sys.stderr, flush=True)
        text = RECIPE.format(
            name=name, seeds=seeds, data=data.as_posix(), labels=labels, teacher=teacher, controls=controls
        )
        recipe.write_text(text, encoding="utf-8")
        limbeck.run_recipe(recipe, out=folder, resume=(folder / "recipe.yaml").is_file())
    return limbeck.load(folder).report


def page(found: dict[tuple[str, str], dict[str, Any]], date: str) -> Iterator[str]:
    """Yield the lines of the page."""
    report = next(iter(found.values()))
    where = report["environment"]
    yield from (
        f"# Teacher quality, {date}", "",
        f"`python benchmarks/teacher_quality.py`; {where['processor']}, {os.cpu_count()} cores, {where['threads']} "
        f"thread(s), {where['device']}; limbeck {report['limbeck']}, python {where['python']}, torch "
        f"{where['torch']}. Seeds {', '.join(map(str, report['seeds']))}; one teacher of each kind.", "",
        f"The first {PICTURES:,} MNIST digits, tested on all 10,000 test digits. Student: a perceptron with 32 hidden "
        f"units. Gains in points against the best control without a teacher (labels or label smoothing, chosen on "
        f"validation), with 95 % intervals over seeds and test digits.", "",
    )  # fmt: skip
    for key, (title, _) in SETTINGS.items():
        yield from (
            f"## {title.capitalize()}",
            "",
            "| teacher | its accuracy | student | best control | gain | verdict |",
        )
        yield "|---|---:|---:|---:|---:|---|"
        for name, teacher in TEACHERS.items():
            one = found[name, key]
            verdict, models = one["verdict"], one["models"]
            cells = [models["teacher"], models["student"], models[verdict["against"]]]
            gain = f"{numbers.points(verdict['gain'])} ({numbers.interval(verdict['ci95'])})"
            yield f"| {teacher.title} | {' | '.join(map(value, cells))} | {gain} | {verdict['outcome']} |"
        yield ""
    notes = HERE / "notes" / "teacher-quality.md"
    if notes.is_file():
        yield from ("## Notes", "", notes.read_text(encoding="utf-8").strip(), "")


def value(model: dict[str, Any]) -> str:
    """Return a model's accuracy in words."""
    return measures.value_text("accuracy", model["metrics"]["accuracy"]["mean"])


def draw(found: dict[tuple[str, str], dict[str, Any]], path: Path) -> None:
    """Draw the gain against the teacher's accuracy, a panel for each setting."""
    mpl.rcParams["svg.hashsalt"] = "teachers"
    figure = Figure(figsize=(4.2 * len(SETTINGS), 3.4), layout="constrained")
    for ax, (key, (title, _)) in zip(figure.subplots(1, len(SETTINGS)), SETTINGS.items(), strict=True):
        for name in TEACHERS:
            one = found[name, key]
            verdict, accuracy = one["verdict"], one["models"]["teacher"]["metrics"]["accuracy"]["mean"]
            low, high = verdict["ci95"]
            odd = name in ("over-fitted", "wrong labels")
            ax.errorbar(
                100 * accuracy, 100 * verdict["gain"],
                [[100 * (verdict["gain"] - low)], [100 * (high - verdict["gain"])]],
                fmt="s" if odd else "o", color="#77818e" if odd else "#1660a8", capsize=3,
            )  # fmt: skip
            ax.annotate(
                name, (100 * accuracy, 100 * verdict["gain"]), (-6, -3 if odd else 3), textcoords="offset points",
                ha="right" if accuracy > HALF else "left", fontsize=8,
            )  # fmt: skip
        ax.axhline(0, color="#1d232b", linewidth=0.8)
        ax.set_title(title, fontsize=10)
        ax.set_xlabel("teacher's accuracy, %")
    figure.axes[0].set_ylabel("gain of the student, points")
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    main()
