"""Int8 files of distilled CNN students against their float files: `python benchmarks/int8.py --data DIR`.

Trains students on MNIST and Fashion-MNIST (a finished run folder is read, not run again), reads what the gate did and
what the files are worth on 10,000 test pictures each, measures latency and throughput with `limbeck bench`, plants a
class that breaks in int8, and times `limbeck predict` as a whole process. Writes a dated page to benchmarks/results/.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from PIL import Image

import limbeck
from limbeck.data.dataset import Data
from limbeck.export.bench import bench
from limbeck.export.bench_template import measure
from limbeck.export.gate import compare, exam_of
from limbeck.export.graph import export_graph
from limbeck.export.quantise import Setting, quantise
from limbeck.export.remedies import Int8Request, quantise_within
from limbeck.models import CNN
from limbeck.models.adapt import Adapted
from limbeck.recipe.load import parse_recipe
from limbeck.report import numbers
from limbeck.run.pipeline import REPORT, run
from limbeck.run.plan import plan_from_recipe
from limbeck.run.result import read_report

RESULTS = Path(__file__).parent / "results"
RECIPE = """\
name: {name}
seeds: 2
data: {{source: "idx:$LIMBECK_DATA/{data}"}}
teacher: {teacher}
student: {{model: {student}, train: {{steps: 800, batch_size: 64}}}}
objective: [soft_labels: {{temperature: 4, weight: 0.9}}, cross_entropy: {{weight: 0.1}}]
controls: [labels]
export: {{int8: true, tolerance: 0.01}}
"""
TEACHER = "{model: {cnn: {width: 16}}, train: {steps: 400, batch_size: 64}}"
SETS = {"mnist": "MNIST", "fashion-mnist": "Fashion-MNIST"}
STUDENTS = {"cnn": "{cnn: {width: 8}}", "lenet5": "lenet5"}
PROCESSES = 7
WIDTHS = (8, 16, 32, 64)
HARM = (4, 8, 16, 32, 64)  # the planted weight, as a multiple of the largest of its class

Report = Mapping[str, Any]


def finish(name: str, data: str, student: str, teacher: str, runs: Path) -> Path:
    """Return the finished run of a case; run it, or go on with it, where it is not."""
    folder = runs / name
    if not (folder / REPORT).is_file():
        print(f"Running {name}", file=sys.stderr)
        text = RECIPE.format(name=name, data=data, student=student, teacher=teacher)
        run(plan_from_recipe(parse_recipe(text)), out=folder, resume=(folder / "recipe.yaml").is_file())
    return folder


def cases(runs: Path) -> dict[str, Path]:
    """Return the run folders by case; the teacher of a data set is trained once."""
    found: dict[str, Path] = {}
    for data in SETS:
        teacher = TEACHER
        for student, model in STUDENTS.items():
            name = f"int8-{data}-{student}"
            found[name] = finish(name, data, model, teacher, runs)
            teacher = f'{{source: "run:{found[name]}"}}'
    return found


def accuracy_rows(reports: Mapping[str, Report]) -> Iterator[str]:
    """Yield a row for each file: accuracy and worst class on the test pictures, bytes."""
    yield from _head("run, file", "accuracy", "int8 - fp32", "worst class", "int8 - fp32", "bytes", "int8 / fp32")
    for name, report in reports.items():
        export = report["export"]
        base = export["onnx"]
        for title, entry in (("fp32", base), ("int8", export["int8"])):
            if not entry["file"]:
                yield _row(f"{name}, {title}", "none shipped", *[""] * 5)
                continue
            cells: list[str] = []
            for metric in ("accuracy", "worst_class_accuracy"):
                value, before = entry["metrics"][metric], base["metrics"][metric]["mean"]
                cells.append(f"{numbers.percent(value['mean'])} ({numbers.interval(value['ci95'])})")
                change = 100 * (value["mean"] - before)
                cells.append("" if title == "fp32" else f"{change:+.2f} points")
            ratio = "" if title == "fp32" else f"{entry['bytes'] / base['bytes']:.2f}"
            yield _row(f"{name}, {title}", *cells, f"{entry['bytes']:,}", ratio)


def gate_rows(reports: Mapping[str, Report]) -> Iterator[str]:
    """Yield what the gate did for each run, and the verdicts on the files."""
    for name, report in reports.items():
        int8, verdict = report["export"]["int8"], report["export"]["verdict"]
        yield f"- {name}: {int8['gate']['sentence']}"
        if int8["verdict"]:
            notes = " ".join(int8["verdict"]["notes"])
            yield (
                f"  Verdict on 2 + 2 files: fp32 {verdict['outcome']}, {numbers.points(verdict['gain'])}; int8 "
                f"{int8['verdict']['outcome']}, {numbers.points(int8['verdict']['gain'])}. {notes}".rstrip()
            )


def speed_rows(folders: Mapping[str, Path]) -> Iterator[str]:
    """Yield latency and throughput of each file with one thread."""
    yield from _head("run", "ms, fp32", "ms, int8", "int8 / fp32", "a second, fp32", "a second, int8", "int8 / fp32")
    for name, folder in folders.items():
        files = list(bench(folder, threads=[1], seconds=2)["files"].values())
        if len(files) < 2:
            continue
        (slow, fast), (few, many) = (
            [file["latency_ms"][0]["p50"] for file in files],
            [file["throughput"][0]["per_second"] for file in files],
        )
        yield _row(name, f"{slow:.3f}", f"{fast:.3f}", f"{fast / slow:.2f}", f"{few:,.0f}", f"{many:,.0f}",
                   f"{many / few:.2f}")  # fmt: skip


def width_rows(data: Data, scratch: Path) -> Iterator[str]:
    """Yield the speed of CNNs of several widths with random weights: where does int8 begin to pay?"""
    yield from _head("cnn of width", "parameters", "bytes, int8 / fp32", "ms, fp32", "ms, int8", "int8 / fp32",
                     "a second, int8 / fp32")  # fmt: skip
    samples = data.pool.inputs[data.train[:64]].numpy()
    for width in WIDTHS:
        torch.manual_seed(0)
        model = Adapted(CNN(data.shape, 10, width=width), classes=10).eval()
        export_graph(model, scratch / "fp32.onnx", shape=data.shape, kind="image")
        quantise(scratch / "fp32.onnx", scratch / "int8.onnx", samples, Setting())
        plain, small = measure(scratch, ["fp32.onnx", "int8.onnx"], seconds=2)["files"].values()
        slow, fast = (file["latency_ms"][0]["p50"] for file in (plain, small))
        few, many = (file["throughput"][0]["per_second"] for file in (plain, small))
        count = sum(weight.numel() for weight in model.parameters())
        yield _row(str(width), f"{count:,}", f"{small['bytes'] / plain['bytes']:.2f}", f"{slow:.3f}", f"{fast:.3f}",
                   f"{fast / slow:.2f}", f"{many / few:.2f}")  # fmt: skip


def planted_rows(folder: Path, data: Data, scratch: Path) -> Iterator[str]:
    """Yield what happens to files with a class that breaks in int8, and what the gate and the remedies make of it."""
    rows = data.validation
    exam = exam_of(data.pool.inputs[rows].numpy(), data.pool.labels[rows].numpy(), data.classes, 0.01)
    tested = exam_of(data.test.inputs.numpy(), data.test.labels.numpy(), data.classes, 0.01)
    request = Int8Request(data.pool.inputs[data.train[:256]].numpy(), exam)
    yield from _head("planted weight", "attempt 1: mean loss", "the class that lost most", "gate",
                     "attempt that passed", "its mean loss on test", "the class that lost most")  # fmt: skip
    for multiple in HARM:
        source, target = scratch / "planted.onnx", scratch / "int8.onnx"
        plant(folder / "export" / "student.onnx", source, multiple)
        search = quantise_within(source, target, request)
        first = search.attempts[0].judgement
        last = compare(source, target, tested)
        assert first is not None
        told = f"{len(search.attempts)}: {search.attempts[-1].did}" if search.passed else "none"
        yield _row(
            f"{multiple} x the largest", f"{100 * first.loss:.2f} points", _class_loss(first),
            "passed" if first.passed else "refused", told, f"{100 * last.loss:.2f} points", _class_loss(last),
        )  # fmt: skip


def plant(source: Path, target: Path, multiple: float) -> None:
    """Write a file whose last convolution has a channel that is always 0, and a large weight from it to class 3.

    In float that changes nothing (beyond the lost channel); in int8 the weight sets the scale of the class's row.
    """
    proto = onnx.load(source)
    values = {one.name: one for one in proto.graph.initializer}
    convolution = [node for node in proto.graph.node if node.op_type == "Conv"][-1]
    head = next(node for node in proto.graph.node if "logits" in node.output)
    weights = onnx.numpy_helper.to_array(values[head.input[1]]).copy()
    channel = int(np.abs(weights).sum(0).argmin())
    for name, value in ((convolution.input[1], 0.0), (convolution.input[2], -1.0)):
        array = onnx.numpy_helper.to_array(values[name]).copy()
        array[channel] = value
        values[name].CopyFrom(onnx.numpy_helper.from_array(array, name))
    weights[:, channel] = 0
    weights[3, channel] = multiple * np.abs(weights[3]).max()
    values[head.input[1]].CopyFrom(onnx.numpy_helper.from_array(weights, head.input[1]))
    onnx.save(proto, target)


def predict_rows(folder: Path, picture: Path) -> Iterator[str]:
    """Yield how long a whole process takes to name the class of a picture."""
    yield from _head("process", "median", "slowest of 7")
    export = folder / "export"
    commands = {
        "limbeck predict": ["-m", "limbeck", "predict", str(export), str(picture)],
        "limbeck predict --int8": ["-m", "limbeck", "predict", str(export), str(picture), "--int8"],
        "python predict.py": [str(export / "predict.py"), str(picture)],
        "python predict.py --int8": [str(export / "predict.py"), "--int8", str(picture)],
    }
    for title, command in commands.items():
        times = []
        for _ in range(PROCESSES):
            start = time.perf_counter()
            subprocess.run([sys.executable, *command], check=True, capture_output=True)
            times.append(time.perf_counter() - start)
        yield _row(title, f"{statistics.median(times):.2f} s", f"{max(times):.2f} s")


def _class_loss(judged: Any) -> str:
    return f'"{judged.lost_class}", {judged.lost_samples} of {judged.class_samples}'


def _head(*names: str) -> Iterator[str]:
    yield _row(*names)
    yield _row("---", *("---:" for _ in names[1:]))


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def page(folders: Mapping[str, Path]) -> Iterator[str]:
    """Yield the lines of the page."""
    reports = {name: read_report(folder) for name, folder in folders.items()}
    today, where = datetime.now(UTC).date().isoformat(), next(iter(reports.values()))["environment"]
    yield from (
        f"# Int8 files against float files, {today}", "",
        f"`python benchmarks/int8.py --data DIR`; {where['processor']}, {os.cpu_count()} cores; limbeck "
        f"{limbeck.__version__}, python {platform.python_version()}, onnxruntime {where['onnxruntime']}, onnx "
        f"{where['onnx']}, torch {where['torch']}. Students distilled for 800 steps of 64 from a CNN of width 16 "
        f"(400 steps), seeds 0 and 1; the file is that of the seed best on validation. Gate: tolerance 1 point, on "
        f"validation samples alone; figures below on 10,000 test pictures. The machine was shared: latencies are "
        f"medians over 2 seconds.", "",
        "## Accuracy and size", "", *accuracy_rows(reports), "", "## What the gate did", "", *gate_rows(reports), "",
        "## Speed, one thread, batches of 1 and of 64", "", *speed_rows(folders), "",
    )  # fmt: skip
    name = "int8-fashion-mnist-cnn"
    data = Data.open(f"idx:{os.environ['LIMBECK_DATA']}/fashion-mnist")
    with tempfile.TemporaryDirectory() as scratch:
        picture = Path(scratch) / "picture.png"
        Image.fromarray(data.test.inputs[0, 0].numpy()).save(picture)
        yield from (
            "## A class that breaks in int8", "",
            f"{name}, its last convolution with a channel that is always 0, and from it a large weight to class 3 (a "
            "dress), which changes no answer in float.", "",
            *planted_rows(folders[name], data, Path(scratch)), "",
            "## Speed by width, one thread", "", *width_rows(data, Path(scratch)), "",
            "## The whole process, start included", "", *predict_rows(folders[name], picture), "",
        )  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is missing and write the page."""
    parser = argparse.ArgumentParser(description="Measure int8 files of distilled students.")
    parser.add_argument("--data", default=os.environ.get("LIMBECK_DATA"), help="default: $LIMBECK_DATA")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="where the run folders are")
    options = parser.parse_args(arguments)
    if not options.data:
        parser.error("expected --data or LIMBECK_DATA, the folder with mnist/ and fashion-mnist/")
    os.environ["LIMBECK_DATA"] = options.data
    text = "\n".join(page(cases(options.runs)))
    path = RESULTS / f"{datetime.now(UTC).date().isoformat()}-int8.md"
    path.write_text(text, encoding="utf-8")
    print(text, path, sep="\n")


if __name__ == "__main__":
    main()
