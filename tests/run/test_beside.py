"""Helpers train some seeds of a run; whatever becomes of them, the run's figures are the same."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from limbeck.recipe.load import parse_recipe
from limbeck.run import beside
from limbeck.run.fits import Workshop, open_workshop
from limbeck.run.folder import open_folder
from limbeck.run.pipeline import run
from limbeck.run.plan import Plan, plan_from_recipe
from limbeck.run.profile import Profile
from limbeck.run.speakers import speaking, train_teachers
from limbeck.run.watch import Silent
from limbeck.types import Record

RECIPE = """\
name: helped
seeds: 3
data: {source: digits, classes: [3, 5, 8], augment: [shift: {pixels: 1}], views: 2}
teacher: {model: {mlp: {hidden: [16]}}, train: {epochs: 2, lr: 0.01}}
student: {model: {mlp: {hidden: [8], dropout: 0.1}}, train: {steps: 40, lr: 0.01}}
objective: [soft_labels: {weight: 0.9}, cross_entropy: {weight: 0.1}]
controls: [labels]
export: {onnx: false}
"""
SWEEP = "sweep: {student.train.lr: [0.003, 0.01]}\n"
CPU = torch.device("cpu")


class Hearer(Silent):
    """Notes what it hears, and whether that is of this process's own fits."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.trained: dict[int, set[bool]] = {}
        self.ends: list[tuple[str, int]] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def record(self, record: Record) -> None:
        here = threading.current_thread() is threading.main_thread()
        if record.model != "teacher":
            self.trained.setdefault(record.seed, set()).add(here)

    def done(self, model: str, seed: int, steps: int) -> None:
        self.ends.append((model, seed))


@pytest.fixture(autouse=True)
def two_threads(monkeypatch: pytest.MonkeyPatch, quick_page: None) -> Iterator[None]:
    """Two threads, and helpers even for a tiny run."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    monkeypatch.setattr(beside, "WORTH_STEPS", 1)
    yield
    torch.set_num_threads(before)


def carried_out(text: str, place: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> tuple[dict[str, Any], Hearer]:
    """Run a recipe with a cache of its own and return its figures and what was heard."""
    monkeypatch.setenv("LIMBECK_CACHE", str(place / f"{name}-cache"))
    hearer = Hearer()
    folder = run(plan_from_recipe(parse_recipe(text)), out=place / name, watcher=hearer)
    return figures(folder), hearer


def figures(folder: Path) -> dict[str, Any]:
    """Return the report without what a clock decides."""
    report = json.loads((folder / "report.json").read_text("utf-8"))
    del report["created"], report["environment"], report["cost"]["seconds"], report["cost"]["peak_memory_mib"]
    del report["cost"]["knowledge"]
    for entry in report["models"].values():
        del entry["latency_ms"]
    return dict(report)


def weights(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.safetensors")}


@pytest.mark.parametrize("text", [RECIPE, RECIPE + SWEEP], ids=["run", "sweep"])
def test_helpers_change_no_figure_and_no_weight(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    helped, hearer = carried_out(text, tmp_path, "helped", monkeypatch)
    monkeypatch.setattr(beside, "WORTH_STEPS", 10**9)
    alone, other = carried_out(text, tmp_path, "alone", monkeypatch)
    assert hearer.trained == {0: {True}, 1: {False}, 2: {True}}
    assert other.trained == {0: {True}, 1: {True}, 2: {True}}
    assert sorted(hearer.ends) == sorted(other.ends) and not any("failed" in line for line in hearer.said)
    assert helped["cost"].pop("teacher_spot_checks") == 32, "the helper's own"
    assert alone["cost"].pop("teacher_spot_checks") == 0
    assert helped == alone
    assert weights(tmp_path / "helped") == weights(tmp_path / "alone")


def test_what_a_helper_leaves_is_trained_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone, _ = carried_out(RECIPE.replace("seeds: 3", "seeds: 2"), tmp_path, "whole", monkeypatch)
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\necho out of luck >&2\nexit 3\n")
    broken.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(broken))
    found, hearer = carried_out(RECIPE.replace("seeds: 3", "seeds: 2"), tmp_path, "left", monkeypatch)
    assert "A helping process failed (out of luck), so its fits are trained here" in hearer.said
    assert hearer.trained == {0: {True}, 1: {True}}
    found["cost"].pop("teacher_spot_checks"), alone["cost"].pop("teacher_spot_checks")
    assert found == alone


KILLED = """
import signal
import sys
from limbeck.run import beside
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
beside.WORTH_STEPS = 1
import torch
torch.set_num_threads(2)
from limbeck.recipe.load import load_recipe
from limbeck.run.pipeline import run
from limbeck.run.plan import plan_from_recipe
from pathlib import Path
run(plan_from_recipe(load_recipe(Path(sys.argv[1]))), out=Path(sys.argv[2]))
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_helpers_end_with_the_run(how: signal.Signals, tmp_path: Path) -> None:
    (tmp_path / "long.yaml").write_text(RECIPE.replace("steps: 40", "steps: 1000000"))
    environment = {**os.environ, "LIMBECK_CACHE": str(tmp_path / "cache")}
    command = [sys.executable, "-c", KILLED, str(tmp_path / "long.yaml"), str(tmp_path / "run")]
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:
        helper = waited_for(lambda: next(iter(psutil.Process(process.pid).children()), None))
        waited_for(lambda: (tmp_path / "run/student/seeds/1").is_dir() or None)
        process.send_signal(how)
        process.wait(180)  # where the processor is shared, both need a while to end
    waited_for(lambda: True if not helper.is_running() or helper.status() == psutil.STATUS_ZOMBIE else None)


def waited_for(what: Any) -> Any:
    """Return what a function gives once that is something."""
    for _ in range(600):
        if (found := what()) is not None:
            return found
        time.sleep(0.1)
    raise AssertionError("it did not come in a minute")


def shares(text: str, place: Path, **changes: Any) -> list[list[int]]:
    """Return how the seeds of a recipe would be shared out."""
    plan: Plan = plan_from_recipe(parse_recipe(text))
    with open_folder(plan, out=place / "run", resume=False, force=True) as folder:
        workshop: Workshop = open_workshop(plan, folder, Silent(), CPU, changes.pop("profile", None))
        return beside.shares_of(workshop, speaking(workshop, train_teachers(workshop)))


def test_seeds_are_shared_out_in_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / "cache"))
    assert shares(RECIPE, tmp_path) == [[0, 2], [1]]
    assert shares("seeds: 5\nstudent: {model: linear}\nobjective: [cross_entropy]", tmp_path) == [[0, 2, 4], [1, 3]]
    torch.set_num_threads(3)
    assert shares(RECIPE, tmp_path) == [[0], [1], [2]]
    monkeypatch.setattr(beside, "WORTH_STEPS", 81)
    assert shares(RECIPE, tmp_path) == []
    monkeypatch.setattr(beside, "WORTH_STEPS", 80)
    assert shares(RECIPE, tmp_path) == [[0], [1], [2]]


@pytest.mark.parametrize(
    "change",
    [
        ("seeds: 3", "seeds: 1"),
        ("steps: 40", "steps: 40, patience: 1"),
        ("hidden: [8], dropout: 0.1", "hidden: [4000, 4000]"),
        ("views: 2", "views: fresh"),
        ("export:", "knowledge: {mode: memory}\nexport:"),
        ("export:", "knowledge: {mode: live}\nexport:"),
    ],
    ids=lambda change: change[1],
)
def test_runs_that_get_no_helper(change: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / "cache"))
    assert shares(RECIPE.replace(*change), tmp_path) == []


def test_neither_one_thread_nor_the_profiler_nor_large_data_get_helpers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / "cache"))
    assert shares(RECIPE, tmp_path, profile=Profile(CPU)) == []
    monkeypatch.setattr(beside, "DATA_BYTES", 1000)
    assert shares(RECIPE, tmp_path) == []
    monkeypatch.undo()
    torch.set_num_threads(1)
    assert shares(RECIPE, tmp_path) == []
