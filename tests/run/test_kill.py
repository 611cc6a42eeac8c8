"""A run that is killed at any moment and resumed gives the figures of an unbroken one, to the last bit."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from limbeck.data.contents import AS_FOUND
from limbeck.data.digits import read_digits
from limbeck.export.run_onnx import Session

RECIPE = """
name: killed
seeds: 2
data: {source: digits, classes: [3, 5, 8, 9], labels_per_class: 10, augment: [shift: {pixels: 1}], views: 2}
teacher: {model: {mlp: {hidden: [16]}}, train: {epochs: 2, batch_size: 256, lr: 0.01}}
student: {model: {mlp: {hidden: [8], dropout: 0.1}}, train: {steps: 36, batch_size: 64, lr: 0.01}}
objective: [soft_labels: {weight: 0.9}, cross_entropy: {weight: 0.1}]
controls: [labels, self_training]
evaluate: [agreement]
export: {int8: true, tolerance: 0.2}
"""

FITS = 1 + 2 * 3
"""The teacher once, then student and two controls for two seeds."""

MOMENTS: dict[str, list[dict[str, Any]]] = {
    "first write": [{"at": "writing", "name": "recipe.yaml", "count": 1}],
    "before the state": [{"at": "before", "name": "state.json", "count": 1}],
    "inside a checkpoint": [{"at": "writing", "name": "checkpoint.safetensors", "count": 5}],
    "inside the last checkpoint": [{"at": "writing", "name": "student/seeds/1/checkpoint.safetensors", "count": 3}],
    "before a checkpoint": [{"at": "before", "name": "checkpoint.safetensors", "count": 4}],
    "after a checkpoint": [{"at": "after", "name": "labels/seeds/0/checkpoint.safetensors", "count": 2}],
    "inside weights": [{"at": "writing", "name": "student/seeds/0/model.safetensors", "count": 1}],
    "before weights": [{"at": "before", "name": "seeds/1/model.safetensors", "count": 1}],
    "before a fit is done": [{"at": "before", "name": "fit.json", "count": 3}],
    "between seeds": [{"at": "after", "name": "fit.json", "count": 4}],
    "after the last fit": [{"at": "after", "name": "fit.json", "count": FITS}],
    "between published files": [{"at": "before", "name": "student/model.json", "count": 1}],
    "inside the graph": [{"at": "writing", "name": "student.onnx", "count": 1}],
    "inside the int8 graph": [{"at": "writing", "name": "student.int8.onnx", "count": 1}],
    "before the bundle": [{"at": "before", "name": "/export", "count": 1}],
    "after the bundle": [{"at": "after", "name": "/export", "count": 1}],
    "inside predictions": [{"at": "writing", "name": "labels.parquet", "count": 1}],
    "inside the report": [{"at": "writing", "name": "report.json", "count": 1}],
    "before the report": [{"at": "before", "name": "report.json", "count": 1}],
    "after the report": [{"at": "after", "name": "report.json", "count": 1}],
    "three times": [
        {"at": "after", "name": "checkpoint.safetensors", "count": 6},
        {"at": "writing", "name": "checkpoint.safetensors", "count": 1},
        {"at": "before", "name": "report.json", "count": 1},
    ],
    "twice inside export": [
        {"at": "after", "name": "/export", "count": 1},
        {"at": "after", "name": "/.export.old", "count": 1},
    ],
}

_DICE = random.Random(20)
SHARES = {f"moment {number}": [{"share": 0.7 * (number + _DICE.random()) / 10}] for number in range(10)}
JOBS = {"unbroken": [], **MOMENTS, **SHARES}


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, list[int]]]:
    """The folder of all runs, and how the processes of each ended."""
    folder = tmp_path_factory.mktemp("killed")
    jobs = [{"folder": str(folder / name.replace(" ", "-")), "kills": kills} for name, kills in JOBS.items()]
    (folder / "jobs.json").write_text(json.dumps(jobs), encoding="utf-8")
    (folder / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
    script = Path(__file__).with_name("killing.py")
    done = subprocess.run(
        [sys.executable, str(script), str(folder / "jobs.json"), str(folder / "recipe.yaml")],
        stdout=subprocess.PIPE,
        check=True,
        timeout=600,
        env={**os.environ, "OMP_NUM_THREADS": "1", "LIMBECK_CACHE": "off"},
    )
    return folder, dict(zip(JOBS, json.loads(done.stdout), strict=True))


def figures(folder: Path) -> dict[str, Any]:
    """Return report.json without what a clock, the machine or the moment decides."""
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    del report["created"], report["environment"], report["cost"]["seconds"], report["cost"]["peak_memory_mib"]
    report["cost"]["knowledge"] = report["cost"]["knowledge"].partition(", ")[0]  # how long it took comes after
    for entry in (*report["models"].values(), report["export"]["onnx"], report["export"]["int8"]):
        del entry["latency_ms"]
    return report


@pytest.mark.parametrize("name", MOMENTS)
def test_a_run_killed_at_a_dangerous_moment_was_killed(killed: tuple[Path, dict[str, list[int]]], name: str) -> None:
    *broken, last = killed[1][name]
    assert broken == [-9] * len(JOBS[name])
    assert last == 0


def test_random_moments_hit_runs_under_way(killed: tuple[Path, dict[str, list[int]]]) -> None:
    ends = [killed[1][name][0] for name in SHARES]
    assert ends.count(-9) >= 5
    assert all(killed[1][name][-1] == 0 for name in SHARES)


@pytest.mark.parametrize("name", [*MOMENTS, *SHARES])
def test_a_resumed_run_has_the_figures_of_an_unbroken_one(killed: tuple[Path, dict[str, list[int]]], name: str) -> None:
    folder = killed[0]
    resumed, unbroken = folder / name.replace(" ", "-"), folder / "unbroken"
    assert figures(resumed) == figures(unbroken)
    assert everything_in(resumed) == everything_in(unbroken)
    for path in [*unbroken.glob("predictions/*.parquet"), *unbroken.rglob("*.safetensors"), *unbroken.rglob("*.onnx")]:
        assert (resumed / path.relative_to(unbroken)).read_bytes() == path.read_bytes(), path


def test_the_bundle_of_a_run_killed_inside_export_answers(killed: tuple[Path, dict[str, list[int]]]) -> None:
    for name in ("student.onnx", "student.int8.onnx"):
        session = Session(killed[0] / "twice-inside-export" / "export" / name, threads=1)
        logits, _ = session.logits_and_probabilities(read_digits(AS_FOUND).train.inputs[:7].numpy())
        assert logits.shape == (7, 4)


def everything_in(folder: Path) -> set[str]:
    """Return every path of a folder, hidden ones included, so that nothing half-written goes unseen."""
    found = {str(path.relative_to(folder)) for path in folder.rglob("*")}
    return {name for name in found if not name.startswith("tensorboard")}  # each session writes a file of its own
