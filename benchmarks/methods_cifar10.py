"""What does each method add on CIFAR-10? `python benchmarks/methods_cifar10.py [run|page] [METHOD...] --data DIR`.

Every method is cross-entropy plus its published weight times its term, without soft labels unless the term is one; the
control is the same student without the teacher. `--size cpu` (about two hours on two cores): ResNet-20 teaches ResNet-8
on the first 10,000 training pictures; `--size gpu`: ResNet-56 teaches ResNet-20 on 40,000. The last 10,000 training
pictures are the test, because the official ones are at hand only as JPEG. The teacher is trained once, outside the
clock. Each method is a run folder below `--work`: finished ones are read, not run again, and a killed one is resumed.
`page` writes a dated page of those that are finished to benchmarks/results/.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from page import shown
from scipy.stats import kendalltau

import limbeck
from limbeck.data.contents import AS_FOUND
from limbeck.data.parquet import read_parquet
from limbeck.report import numbers
from limbeck.run.folder import REPORT

HERE = Path(__file__).parent
TEST = 10_000
TEACHER = "teacher"


@dataclass(frozen=True)
class Size:
    """How large the experiment is. depths: of teacher and student; epochs: of teacher and students."""

    depths: tuple[int, int]
    pictures: int
    epochs: tuple[int, int]
    views: int


SIZES = {"cpu": Size((20, 8), 10_000, (60, 15), 5), "gpu": Size((56, 20), 40_000, (100, 60), 20)}


@dataclass(frozen=True)
class Method:
    """An objective as a recipe writes it. published: accuracy of resnet8x4 from resnet32x4 on CIFAR-100, percent."""

    title: str
    objective: str
    published: float | None = None


WARM = "{from: 0, to: 1, over: {warm}}"  # epochs; a twelfth of the training, as 20 epochs of 240 are
METHODS = {
    "kd": Method("soft labels (KD)", "soft_labels: {temperature: 4, weight: 0.9}, cross_entropy: {weight: 0.1}", 73.33),
    "dkd": Method(
        "decoupled soft labels (DKD)", "decoupled_soft_labels: {temperature: 4, weight: WARM}, cross_entropy: {}", 76.32
    ),
    "at": Method("attention transfer (AT)", "attention_transfer: {weight: 1000}, cross_entropy: {}", 73.44),
    "hint": Method("hint (FitNets)", "hint: {weight: 100}, cross_entropy: {}", 73.50),
    "crd": Method("contrastive (CRD)", "contrastive: {weight: 0.8}, cross_entropy: {}", 75.51),
    "rkd": Method(
        "relations (RKD)",
        "relational_distance: {weight: 25}, relational_angle: {weight: 50}, cross_entropy: {}", 71.90,
    ),
    "sp": Method("similarity preserving (SP)", "similarity_preserving: {weight: 3000}, cross_entropy: {}", 72.94),
    "pkt": Method("probabilistic (PKT)", "probabilistic_knowledge: {weight: 30000}, cross_entropy: {}", 73.64),
    "vid": Method("variational (VID)", "variational: {weight: 1}, cross_entropy: {}", 73.09),
    "nst": Method("neuron selectivity (NST)", "neuron_selectivity: {weight: 50}, cross_entropy: {}", 73.30),
    "std": Method(
        "standardised soft labels",
        "soft_labels: {temperature: 2, standardise: true, weight: 9}, cross_entropy: {weight: 0.1}", 76.62,
    ),
    "dist": Method("relational logits (DIST)", "relational_logits: {temperature: 4, weight: 1}, cross_entropy: {}"),
    "review": Method("review (ReviewKD)", "review: {weight: WARM}, cross_entropy: {}"),
    "lm": Method("logit matching", "logit_matching: {weight: 1}, cross_entropy: {}"),
    "smoothing": Method("label smoothing, no teacher", "cross_entropy: {label_smoothing: 0.1}"),
}  # fmt: skip
ALONE = 72.50  # resnet8x4 on labels, CIFAR-100, percent
RECIPE = """\
name: {name}
seeds: {seeds}
data:
  source: "npz:{data}"
  augment: [shift: {{pixels: 4}}, flip]
  views: {views}
teacher: {teacher}
student:
  model: {{resnet: {{depth: {depth}}}}}
  train: {{epochs: {epochs}, batch_size: 64, optimizer: sgd, lr: 0.1, weight_decay: 0.0005}}
objective: [{objective}]
controls: [{controls}]
export: {{onnx: false}}
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run methods, or write the page of those that are finished."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("run", "page"), nargs="?", default="run")
    parser.add_argument("methods", nargs="*", default=[], metavar="METHOD", help=f"of {', '.join(METHODS)}")
    parser.add_argument("--data", default=os.environ.get("LIMBECK_DATA"), help="holds cifar10/; default: $LIMBECK_DATA")
    parser.add_argument("--size", choices=SIZES, default="cpu")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--work", type=Path, default=Path("runs/methods"), help="where the runs are")
    parser.add_argument("--results", type=Path, default=HERE / "results")
    options = parser.parse_intermixed_args(arguments)
    if unknown := set(options.methods) - set(METHODS):
        parser.error(f"expected methods of {', '.join(METHODS)}; got {', '.join(sorted(unknown))}")
    work, size = options.work / options.size, SIZES[options.size]
    if options.what == "page":
        print(write_page(work, size, options.size, options.results))
        return
    if not options.data:
        parser.error("expected --data DIR or LIMBECK_DATA: the folder that holds cifar10/")
    pictures(Path(options.data), size, work)
    train_teacher(work, size, options.device)
    for name in options.methods or METHODS:
        carry_out(name, work, size, options.seeds, options.device)


def pictures(source: Path, size: Size, work: Path) -> None:
    """Write the pictures that train and those that test, once."""
    path = work / "cifar10.npz"
    if path.is_file():
        return
    found = read_parquet(source / "cifar10" / "train.parquet", AS_FOUND).train
    x, y = np.asarray(found.inputs), np.asarray(found.labels)
    work.mkdir(parents=True, exist_ok=True)
    np.savez(path, x_train=x[: size.pictures], y_train=y[: size.pictures], x_test=x[-TEST:], y_test=y[-TEST:])


def train_teacher(work: Path, size: Size, device: str) -> None:
    """Train the teacher: an ordinary network, and a run of its own without controls."""
    train = f"{{model: {{resnet: {{depth: {size.depths[0]}}}}}, train: {{epochs: {size.epochs[0]}, batch_size: 64, "
    train += "optimizer: sgd, lr: 0.1, weight_decay: 0.0005}}"
    finish(work, TEACHER, size, train, "soft_labels", "", 1, device, epochs=1)


def carry_out(name: str, work: Path, size: Size, seeds: int, device: str) -> None:
    """Run a method, go on with it, or do nothing where it is finished."""
    objective = written(METHODS[name], size)
    teacher = f'{{source: "run:{(work / TEACHER).as_posix()}"}}'
    finish(work, name, size, teacher, objective, "labels", seeds, device, epochs=size.epochs[1])


def written(method: Method, size: Size) -> str:
    """Return the objective as a recipe of this size has it."""
    return method.objective.replace("WARM", WARM.replace("{warm}", str(max(1, size.epochs[1] // 12))))


def finish(
    work: Path, name: str, size: Size, teacher: str, objective: str, controls: str, seeds: int, device: str, *,
    epochs: int,
) -> None:  # fmt: skip
    """Carry out one recipe in its folder, unless it is finished."""
    folder, recipe = work / name, work / f"{name}.yaml"
    if (folder / REPORT).is_file():
        return
    print(f"Running {name}", file=sys.stderr, flush=True)
    recipe.write_text(
        RECIPE.format(
            name=f"methods-{name}", seeds=seeds, data=(work / "cifar10.npz").as_posix(), views=size.views,
            teacher=teacher, depth=size.depths[1], epochs=epochs, objective=objective, controls=controls,
        ),
        encoding="utf-8",
    )  # fmt: skip
    limbeck.run_recipe(recipe, out=folder, device=device, resume=(folder / "recipe.yaml").is_file())


def write_page(work: Path, size: Size, named: str, results: Path) -> Path:
    """Write the dated page of the methods that are finished, best gain first."""
    reports = {name: limbeck.load(work / name).report for name in METHODS if (work / name / REPORT).is_file()}
    if not reports:
        raise SystemExit(f"Nothing is finished in {work}; run some methods first.")
    ordered = sorted(reports, key=lambda name: -reports[name]["verdict"]["gain"])
    date = max(one["created"] for one in reports.values())[:10]
    lines = [*_head(reports, size, named, date), *_table(ordered, reports, size), *_order(reports)]
    notes = HERE / "notes" / f"methods-cifar10-{named}.md"
    if notes.is_file():
        lines += ["## Notes", "", notes.read_text(encoding="utf-8").strip(), ""]
    path = results / f"{date}-methods-cifar10-{named}.md"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def _head(reports: dict[str, Any], size: Size, named: str, date: str) -> Iterator[str]:
    report = next(iter(reports.values()))
    where, (teacher, student) = report["environment"], size.depths
    known = _accuracy(report["models"]["teacher"])
    yield from (
        f"# Methods on CIFAR-10, {date}", "",
        f"`python benchmarks/methods_cifar10.py run --size {named}`; {where['processor']}, {os.cpu_count()} cores, "
        f"{where['threads']} thread(s), {where['device']}; limbeck {report['limbeck']}, python {where['python']}, "
        f"torch {where['torch']}. Seeds {', '.join(map(str, report['seeds']))}.", "",
        f"ResNet-{teacher} ({known}) teaches ResNet-{student}, {size.pictures:,} training pictures, a tenth of them "
        f"for validation, {size.epochs[1]} epochs with {size.views} shifted and mirrored views; tested on the last "
        f"{TEST:,} of the 50,000 training pictures. Cross-entropy plus the published weight times the term. The gain "
        f"is against the same student on labels, same steps, in points with 95 % intervals over seeds and test "
        f"pictures. Seconds are those of the student's training as the run measured them, the live teacher of feature "
        f"terms included, beside whatever else the machine did.", "",
    )  # fmt: skip


def _table(ordered: Sequence[str], reports: dict[str, Any], size: Size) -> Iterator[str]:
    yield "| method | objective | accuracy | gain | verdict | seconds a seed | published gain, CIFAR-100 |"
    yield "|---|---|---:|---:|---|---:|---:|"
    for name in ordered:
        report, method = reports[name], METHODS[name]
        verdict, seconds = report["verdict"], report["cost"]["seconds"]["student"] / len(report["seeds"])
        published = numbers.MISSING if method.published is None else f"{method.published - ALONE:+.2f}"
        yield (
            f"| {method.title} | `{written(method, size)}` | {_accuracy(report['models']['student'])} | "
            f"{numbers.points(verdict['gain'])} ({numbers.interval(verdict['ci95'])}) | {verdict['outcome']} | "
            f"{seconds:.0f} | {published} |"
        )
    control = next(iter(reports.values()))["models"]["labels"]
    yield f"| labels alone | `cross_entropy` | {_accuracy(control)} | | | | |"
    yield ""


def _order(reports: dict[str, Any]) -> Iterator[str]:
    both = [name for name in reports if METHODS[name].published is not None]
    if len(both) < 3:
        return
    found = kendalltau([reports[name]["verdict"]["gain"] for name in both], [METHODS[name].published for name in both])
    yield (
        f"Published are resnet32x4 to resnet8x4 on CIFAR-100, 240 epochs, {ALONE:.2f} % on labels alone. The order of "
        f"the {len(both)} methods that both have agrees with it by Kendall's tau {found.statistic:.2f} "
        f"(p = {found.pvalue:.2f}; 1 is the same order, 0 none)."
    )
    yield ""


def _accuracy(model: dict[str, Any]) -> str:
    return shown("accuracy", model["metrics"]["accuracy"])


if __name__ == "__main__":
    main()
