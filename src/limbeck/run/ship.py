"""The folder that ships, and what the report says about the files in it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from limbeck.data.combine import take
from limbeck.data.dataset import Data
from limbeck.data.samples import Samples
from limbeck.data.split import by_hash
from limbeck.export.bundle import write_bundle
from limbeck.export.ending import output_of
from limbeck.export.front import Front
from limbeck.export.gate import exam_of
from limbeck.export.manifest import GRAPH, INT8
from limbeck.export.remedies import Int8Request
from limbeck.export.run_onnx import Feed, Session
from limbeck.export.trace import Trace
from limbeck.models.adapt import Adapted
from limbeck.models.weights import read_card
from limbeck.run.answers import Answers, Floats
from limbeck.run.jobs import Trained
from limbeck.run.plan import Plan
from limbeck.run.shared import learner

Array = NDArray[np.float32]

FOLDER = "export"
PARITY_SAMPLES = 64
CALIBRATION_SAMPLES = 256
EXAM_SAMPLES = 1000


def ship(folder: Path, plan: Plan, best: Trained, teacher: Answers | None, trace: Trace) -> dict[str, Any]:
    """Write export/ and return what the report says about the files: {"onnx": ..., "int8": ...}.

    best: the student's kept seed. int8 is None where it was not asked for; its file is None where none passed the gate.
    """
    sha256 = read_card(best.folder)["sha256"]
    manifest = write_student(
        folder, plan, best.model, seed=best.seed, temperature=best.temperature, sha256=sha256, trace=trace
    )
    onnx = _describe(folder, GRAPH, manifest, manifest["parity"], plan, best, teacher)
    gate = manifest["int8"]
    if gate is None:
        return {"onnx": onnx, "int8": None}
    made = gate["passed"]
    int8 = _describe(folder, INT8, manifest, gate["parity"], plan, best, teacher) if made else dict.fromkeys(onnx)
    return {"onnx": onnx, "int8": {**int8, "tolerance": plan.tolerance, "gate": gate, "verdict": None}}


def _describe(
    folder: Path,
    name: str,
    manifest: dict[str, Any],
    parity: dict[str, Any],
    plan: Plan,
    best: Trained,
    teacher: Answers | None,
) -> dict[str, Any]:
    """Return size, answers and latency of a file of the bundle."""
    session, data = Session(folder / FOLDER / name), plan.data
    threads = sorted({1, torch.get_num_threads()})
    return {
        "file": f"{FOLDER}/{name}",
        **manifest["files"][name],
        "metrics": plan.task.metrics(
            answers_of_file(session, best.seed, data.test, plan.task.read_file), teacher, plan.evaluate
        ),
        **parity,
        **({} if plan.task.names_a_class else {"agreement": None}),
        "latency_ms": session.latency(raw_of(take(data.pool, np.arange(1))), threads=threads),
        "temperature": best.temperature if plan.task.names_a_class else None,
    }


def write_student(
    folder: Path,
    plan: Plan,
    model: Adapted,
    *,
    seed: int,
    temperature: float,
    sha256: str,
    trace: Trace | None = None,
) -> dict[str, Any]:
    """Write the bundle of a student into a run folder and return its manifest; sha256: of its weights."""
    data = plan.data
    return write_bundle(
        folder / FOLDER,
        model=model,
        name=plan.name,
        shape=data.shape,
        kind=kind_of(data),
        classes=data.classes,
        temperature=temperature,
        reading=reading_of(data),
        source_hash=sha256,
        samples=data.pool.inputs[:PARITY_SAMPLES].cpu(),
        extra={
            "task": data.task,
            "target": data.scaling and data.scaling.as_json(),
            "tasks": {
                one.task.name: {"output": output_of(one.task.name), "classes": list(one.task.classes)}
                for one in plan.tasks
            },
            "seed": seed,
            "architecture": learner(plan, plan.stages[-1]).title,
        },
        ending=plan.task.ending,
        trace=trace,
        front=front_of(data),
        int8=int8_request(plan, seed),
    )


def front_of(data: Data) -> Front | None:
    """Return what a table's preprocessing is checked with, beside the samples for the parity check; else None."""
    rows = data.pool.raw
    if data.preprocessing is None or rows is None:
        return None
    return Front(data.preprocessing, rows.take(np.arange(min(PARITY_SAMPLES, len(rows)))))


def raw_of(samples: Samples) -> Feed:
    """Return samples as the file takes them: pixels, features, or the rows of a table by input."""
    return samples.inputs.cpu().numpy() if samples.raw is None else samples.raw.feed()


def kind_of(data: Data) -> Literal["image", "vector"]:
    """Return what the graph takes: raw uint8 pixels, or float32 features of any shape."""
    return "image" if data.kind == "image" and data.pool.inputs.dtype == torch.uint8 else "vector"


def reading_of(data: Data) -> dict[str, Any] | None:
    """Return how a picture file becomes pixels, for the manifest; None when the data is no pictures."""
    if kind_of(data) != "image":
        return None
    channels = {1: "grey", 3: "rgb"}.get(data.shape[0])
    if channels is None:
        return None
    reading = data.reading
    return {
        "size": list(data.shape[1:]),
        "channels": channels,
        "resize": reading.resize if reading else "squash",
        "background": reading.background if reading else "white",
    }


def int8_request(plan: Plan, seed: int) -> Int8Request | None:
    """Return what an int8 file is made and judged by; None where the plan asks for none.

    Ranges come from 256 training samples, the same for every file of a run; the exam is the validation rows with the
    labels that the seed may see.
    """
    if not plan.int8:
        return None
    data = plan.data
    order = by_hash([data.pool.ids[row] for row in data.train.tolist()], plan.seeds[0])
    samples = data.pool.inputs[data.train[torch.from_numpy(order[:CALIBRATION_SAMPLES])]]
    rows = data.validation if len(data.validation) else data.train[:EXAM_SAMPLES]  # generated ones, where none are real
    labels = plan.visible_labels(seed)[rows]
    inputs = data.pool.inputs_of(rows).cpu().numpy()
    return Int8Request(samples.cpu().numpy(), exam_of(inputs, labels.numpy(), data.classes, plan.tolerance))


def answers_of_file(session: Session, seed: int, samples: Samples, read: Callable[[Array, Array], Floats]) -> Answers:
    """Return what an exported file says about samples; read: makes scores [N, C] of its outputs, see `Task`."""
    said = read(*session.logits_and_probabilities(raw_of(samples)))
    return Answers(said[None], (seed,), samples.labels.cpu().numpy())
