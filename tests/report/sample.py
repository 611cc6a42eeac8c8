"""A made report with every part filled in; tests take pieces away from a copy of it."""

from __future__ import annotations

import base64
import io
import random
from typing import Any

from PIL import Image

_NAMES = {
    "teacher": ("teacher", "teacher", "teacher", 0.986),
    "student": ("student", "student", "student", 0.972),
    "labels": ("control", "labels", "student trained on labels only", 0.893),
    "smoothing": ("control", "smoothing", "student trained with label smoothing 0.1", 0.897),
    "self_training": ("control", "self_training", "student trained on its own pseudo-labels", 0.901),
    "teacher_labels": ("control", "teacher_labels", "student trained on hard teacher labels", 0.97),
}


def sample_report(classes: list[str] | None = None, seeds: int = 5) -> dict[str, Any]:
    draw = random.Random(7)
    classes = classes or [str(digit) for digit in range(10)]
    verdict = _verdict(seeds)
    return {
        "schema": 1,
        "limbeck": "0.1.0",
        "name": "digits",
        "created": "2026-11-21T10:00:00+00:00",
        "task": "classification",
        "primary": "accuracy",
        "data": _data(classes),
        "seeds": list(range(seeds)),
        "verdict": verdict,
        "stages": [
            {
                "name": "soft",
                "model": "student",
                "controls": {"labels": "labels"},
                "objective": "soft_labels",
                "verdict": verdict,
            }
        ],
        "models": {key: _model(draw, key, seeds) for key in _NAMES},
        "sweep": None,
        "variants": [],
        "export": _export(draw, seeds),
        "cost": {
            "teacher_forwards": 51720,
            "teacher_spot_checks": 0,
            "seconds": {
                "teacher": 12.1,
                "knowledge": 0.8,
                "student": 9.9,
                "controls": 33.0,
                "evaluation": 2.0,
                "export": 6.0,
                "total": 64.0,
            },
            "peak_memory_mib": 620,
        },
        "environment": {
            "python": "3.11.7",
            "torch": "2.15.0",
            "onnxruntime": "1.30.0",
            "platform": "Linux x86_64",
            "processor": "A processor",
            "threads": 2,
            "device": "cpu",
        },
        "recipe": "name: digits\nseeds: 5\ndata: {source: digits, augment: [shift: {pixels: 1}]}\n",
        "curves": {key: _curves(draw, key, seeds) for key in _NAMES},
        "confusion": {key: _confusion(draw, len(classes)) for key in ("teacher", "student")},
        "reliability": {key: _bins(draw) for key in _NAMES},
        "disagreements": [_disagreement(draw, classes, row) for row in range(8)],
    }


def _verdict(seeds: int) -> dict[str, Any]:
    return {
        "outcome": "helped",
        "against": "self_training",
        "gain": 0.071,
        "ci95": [0.058, 0.084],
        "gap_closed": 0.83,
        "p_value": 1.2e-5,
        "margin": 0.005,
        "seeds": seeds,
        "values": [0.06 + 0.004 * seed for seed in range(seeds)],
        "more_seeds": None,
        "more_samples": None,
        "sentence": "Distillation helped: accuracy is 7.1 points above the same student without the teacher.",
        "notes": ["The teacher saw 1293 labels; the student and its controls saw 100."],
        "over_teacher_labels": {
            "gain": 0.002, "ci95": [-0.003, 0.007], "outcome": "unclear",
            "sentence": "Whether soft answers add anything to hard teacher labels is not clear.",
        },
    }  # fmt: skip


def _data(classes: list[str]) -> dict[str, Any]:
    return {
        "source": "digits", "kind": "image", "shape": [1, 8, 8], "classes": classes, "train": 1293,
        "labelled": 90, "unlabelled": 1203, "validation": 144, "validation_labelled": 10, "test": 360,
        "split_seed": 0, "augment": ["shift(pixels=1)"], "views": "fresh",
        "notes": ["Two pictures were skipped because they are empty."],
    }  # fmt: skip


def metric(values: list[float], higher: bool = True, spread: float = 0.008) -> dict[str, Any]:
    mean = sum(values) / len(values)
    ci95 = [mean - spread, mean + spread]
    return {"mean": mean, "values": values, "ci95": ci95, "higher_is_better": higher}


def _metrics(draw: random.Random, accuracy: float, seeds: int, compared: bool) -> dict[str, Any]:
    def around(value: float) -> list[float]:
        return [value + draw.uniform(-0.006, 0.006) for _ in range(seeds)]

    found = {
        "accuracy": metric(around(accuracy)),
        "worst_class_accuracy": metric(around(accuracy - 0.08), spread=0.02),
        "nll": metric(around(3.2 * (1 - accuracy)), False),
        "brier": metric(around(1.5 * (1 - accuracy)), False),
        "ece": metric(around(0.03), False),
    }
    if compared:
        found["agreement"] = metric(around(accuracy + 0.004))
        found["negative_flips"] = metric(around(1.02 - accuracy), False)
    return found


def _latency() -> list[dict[str, Any]]:
    return [{"threads": 1, "p50": 0.0213, "p95": 0.0307}, {"threads": 2, "p50": 0.018, "p95": 0.041}]


def _model(draw: random.Random, key: str, seeds: int) -> dict[str, Any]:
    role, name, title, accuracy = _NAMES[key]
    teacher = role == "teacher"
    return {
        "role": role,
        "name": name,
        "title": title,
        "architecture": "cnn(width=64)" if teacher else "mlp(hidden=[32])",
        "metrics": _metrics(draw, accuracy, 1 if teacher else seeds, not teacher),
        "steps": 820 if teacher else 1640,
        "parameters": 151_306 if teacher else 2410,
        "bytes": 605_224 if teacher else 9640,
        "macs": 1_204_000 if teacher else 2368,
        "latency_ms": _latency(),
        "checksum": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "validation_accuracy": 0.979,
        "best_seed": None if teacher else 3,
        "temperature": 1.2,
    }


def _export(draw: random.Random, seeds: int) -> dict[str, Any]:
    file = {
        "file": "export/student.onnx",
        "bytes": 12345,
        "metrics": _metrics(draw, 0.972, 1, True),
        "max_abs_error": 1.2e-6,
        "agreement": 1.0,
        "parity_batches": [1, 2, 7],
        "latency_ms": _latency(),
        "temperature": 1.3,
        "sha256": "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae",
    }
    small = {
        **file, "file": "export/student.int8.onnx", "bytes": 5120, "max_abs_error": 0.031, "tolerance": 0.01,
        "gate": _gate(), "verdict": {**_verdict(seeds), "notes": ["1 of 5 int8 files of labels lost more."]},
    }  # fmt: skip
    return {"onnx": file, "int8": small, "verdict": _verdict(seeds), "measured": [_measured("A board")]}


def _gate() -> dict[str, Any]:
    refused = {
        "did": "ranges by smallest and largest value of 256 training samples", "calibration": "min-max", "in_float": [],
        "bytes": 5000, "passed": False, "judged_by": "accuracy", "samples": 144, "loss": 0.02, "lost_class": "3",
        "lost_samples": 3, "class_samples": 14, "agreement": 0.97, "max_abs_error": 0.4,
        "sentence": "Too much was lost.",
    }  # fmt: skip
    passed = {**refused, "did": "ranges by 99.99 % of the values", "passed": True, "sentence": "Little was lost."}
    return {"passed": True, "tolerance": 0.01, "sentence": "Attempt 2 passed.", "attempts": [refused, passed]}


def _measured(processor: str) -> dict[str, Any]:
    file = {
        "sha256": "2c26", "bytes": 5120, "load_ms": 4.5, "latency_ms": _latency(),
        "throughput": [{"threads": threads, "batch": 64, "per_second": 43210.0 * threads} for threads in (1, 2)],
    }  # fmt: skip
    return {
        "schema": "limbeck.bench/1", "date": "2026-11-20T10:00:00+00:00", "seconds": 1.0,
        "device": {
            "system": "Linux", "machine": "aarch64", "processor": processor, "cores": 4, "python": "3.11.7",
            "onnxruntime": "1.30.0",
        },
        "files": {"student.onnx": file, "student.int8.onnx": file},
    }  # fmt: skip


def _curves(draw: random.Random, key: str, seeds: int) -> list[dict[str, Any]]:
    goal = _NAMES[key][3]
    epochs = list(range(1, 41))
    return [
        {
            "seed": seed,
            "epochs": epochs,
            "loss": [2.3 * 0.9**epoch + draw.uniform(0, 0.05) for epoch in epochs],
            "accuracy": [min(1.0, goal - 0.5 * 0.85**epoch + draw.uniform(-0.02, 0.02)) for epoch in epochs],
        }
        for seed in range(1 if key == "teacher" else seeds)
    ]


def _confusion(draw: random.Random, classes: int) -> list[list[int]]:
    def cell(truth: int, answer: int) -> int:
        return 180 - draw.randrange(9) if truth == answer else draw.choice([0, 0, 0, 0, 1, 3])

    return [[cell(truth, answer) for answer in range(classes)] for truth in range(classes)]


def _bins(draw: random.Random) -> list[dict[str, Any]]:
    bins = []
    for place in range(15):
        low, high = place / 15, (place + 1) / 15
        right = min(1.0, max(0.0, (low + high) / 2 + draw.uniform(-0.06, 0.1)))
        empty = place < 3
        bins.append({
            "low": low, "high": high, "confidence": None if empty else (low + high) / 2,
            "accuracy": None if empty else right, "count": 0 if empty else 2 + place**2,
        })  # fmt: skip
    return bins


def _disagreement(draw: random.Random, classes: list[str], row: int) -> dict[str, Any]:
    label, other = classes[row % len(classes)], classes[(row + 3) % len(classes)]
    return {
        "id": f"folder/sub folder/{row}.png",
        "label": label,
        "teacher": {"class": label, "probability": 0.912},
        "student": {"class": other, "probability": 0.61},
        "png": _png(draw),
    }


def _png(draw: random.Random) -> str:
    buffer = io.BytesIO()
    Image.frombytes("L", (8, 8), bytes(draw.randrange(256) for _ in range(64))).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()
