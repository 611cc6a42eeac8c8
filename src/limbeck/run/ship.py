"""The file that ships, and the verdict on the files: student and control exported and judged again."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from limbeck.data.combine import take
from limbeck.data.dataset import Data
from limbeck.data.samples import Samples
from limbeck.evaluate.verdict import Verdict, correct_for_many, judge
from limbeck.export.bundle import write_bundle
from limbeck.export.front import Front, attach_front
from limbeck.export.graph import export_graph
from limbeck.export.manifest import GRAPH
from limbeck.export.run_onnx import Feed, Session
from limbeck.export.trace import Trace, trace_graph
from limbeck.models.adapt import Adapted
from limbeck.models.weights import read_card
from limbeck.run.answers import Answers, metrics_of
from limbeck.run.fits import best_seed
from limbeck.run.jobs import Trained
from limbeck.run.plan import Plan

FOLDER = "export"
PARITY_SAMPLES = 64


def ship(
    folder: Path,
    plan: Plan,
    student: Mapping[int, Trained],
    control: Mapping[int, Trained] | None,
    verdict: Verdict | None,
    teacher: Answers | None,
    others: Sequence[Verdict] = (),
) -> dict[str, Any]:
    """Write export/ and return the report's `export` section.

    control: the one the verdict is against; others: the verdicts of the other stages, uncorrected, among which the
    verdict on the files is corrected as the stage's own is.
    """
    data, best = plan.data, student[best_seed(student)]
    trace = trace_graph(best.model, shape=data.shape, kind=kind_of(data))
    sha256 = read_card(best.folder)["sha256"]
    manifest = write_student(
        folder, plan, best.model, seed=best.seed, temperature=best.temperature, sha256=sha256, trace=trace
    )
    path = folder / FOLDER / GRAPH
    session = Session(path)
    answers = answers_of_file(session, best.seed, data.test)
    section = {
        "file": f"{FOLDER}/{GRAPH}",
        **manifest["files"][GRAPH],
        "metrics": metrics_of(answers, teacher, plan.evaluate),
        **manifest["parity"],
        "latency_ms": session.latency(
            raw_of(take(data.pool, np.arange(1))), threads=sorted({1, torch.get_num_threads()})
        ),
        "temperature": best.temperature,
    }
    return {"onnx": section, "int8": None, "verdict": _judge_files(plan, student, control, verdict, others, trace)}


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
        extra={"seed": seed, "architecture": plan.student.title},
        trace=trace,
        front=front_of(data),
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


def _judge_files(
    plan: Plan,
    student: Mapping[int, Trained],
    control: Mapping[int, Trained] | None,
    verdict: Verdict | None,
    others: Sequence[Verdict],
    trace: Trace,
) -> Verdict | None:
    if verdict is None or control is None:
        return None
    with tempfile.TemporaryDirectory() as scratch:
        pair = [
            np.stack([_correct(plan.data, one, trace, Path(scratch) / f"{one.seed}.onnx") for one in role.values()])
            for role in (student, control)
        ]
    name = verdict.against
    judged = judge(pair[0], {name: pair[1]}, validation={name: 1.0}, teacher=None, margin=plan.margin)
    return correct_for_many([*others, judged])[-1]


def _correct(data: Data, one: Trained, trace: Trace, path: Path) -> Any:
    export_graph(one.model, path, shape=data.shape, kind=kind_of(data), temperature=one.temperature, trace=trace)
    if data.preprocessing is not None:
        attach_front(path, data.preprocessing)
    logits, _ = Session(path).logits_and_probabilities(raw_of(data.test))
    return (logits.argmax(1) == data.test.labels.cpu().numpy()).astype(np.float64)


def answers_of_file(session: Session, seed: int, samples: Samples) -> Answers:
    """Return what an exported file says about samples: its own probabilities, at the temperature inside."""
    _, probabilities = session.logits_and_probabilities(raw_of(samples))
    exact = probabilities.astype(np.float64)
    return Answers((exact / exact.sum(1, keepdims=True))[None], (seed,), samples.labels.cpu().numpy())
