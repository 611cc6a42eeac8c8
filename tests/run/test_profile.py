"""Where the time of a run went: every second counted once, a trace that can be opened, and no cost for others."""

from __future__ import annotations

import gzip
import json
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from limbeck.data.samples import Samples
from limbeck.data.views import Shift, Views
from limbeck.run.profile import Measured, Profile, TimedViews, as_markdown, measuring, phases_of, timed
from limbeck.train.loop import Lesson
from limbeck.train.phases import Unmeasured

RECIPE = """\
name: timed
seeds: 1
data: {source: digits, augment: [shift: {pixels: 1}]}
teacher: {model: {mlp: {hidden: [8]}}, train: {epochs: 2}}
student: {model: {mlp: {hidden: [4]}}, train: {epochs: 2}}
objective: [soft_labels]
controls: [labels]
export: {onnx: false}
"""


def profile() -> Profile:
    return Profile(torch.device("cpu"))


def test_an_inner_phase_is_not_its_outers() -> None:
    mine = profile()
    with mine.measure("outer"):
        time.sleep(0.02)
        with mine.measure("inner", "student"):
            time.sleep(0.05)
        with mine.measure("inner", "student"):
            time.sleep(0.05)
    assert mine.seconds["student", "inner"] == pytest.approx(0.1, abs=0.04)
    assert mine.seconds["run", "outer"] == pytest.approx(0.02, abs=0.018)


def test_shares_add_up_to_one_whatever_went_unmeasured() -> None:
    mine = profile()
    with mine.measure("evaluation"):
        time.sleep(0.02)
    time.sleep(0.02)
    found = mine.summary()
    assert sum(one["share"] for one in found["phases"]) == pytest.approx(1)
    assert [one["phase"] for one in found["phases"]] == ["evaluation", "everything else"]
    assert found["seconds"] >= 0.04


def test_a_phase_that_fails_is_counted_and_closed() -> None:
    mine = profile()
    with pytest.raises(ZeroDivisionError), mine.measure("outer"), mine.measure("inner"):
        raise ZeroDivisionError
    assert {phase for _, phase in mine.seconds} == {"outer", "inner"}
    with mine.measure("later"):
        time.sleep(0.01)
    assert mine.seconds["run", "later"] >= 0.01


def test_who_did_not_ask_gets_what_does_nothing(tmp_path: Path) -> None:
    with phases_of(None, "student", 100, tmp_path) as phases, measuring(None, "export"):
        assert isinstance(phases, Unmeasured)
        assert phases("forward") is phases("data")
        phases.step()
    assert list(tmp_path.iterdir()) == []


def test_views_are_measured_and_stay_what_they_are() -> None:
    inputs = torch.randint(0, 255, (6, 1, 5, 5)).to(torch.uint8)
    samples = Samples(inputs, torch.zeros(6, dtype=torch.int64), tuple("abcdef"))
    rows = torch.arange(6)
    views = Views([Shift(1)], seed=3, count=2)
    lesson, mine = Lesson(samples, rows, rows, samples.labels, views), profile()
    measured = timed(lesson, Measured(mine, "student"))
    assert isinstance(measured.views, TimedViews)
    shown = [
        samples.batch(rows, view=torch.ones(6, dtype=torch.int64), views=one.views).inputs for one in (lesson, measured)
    ]
    assert torch.equal(*shown)
    assert mine.seconds.keys() == {("student", "views")}
    assert timed(lesson, Unmeasured()) is lesson


@pytest.mark.parametrize("steps", [1, 3, 4, 6, 40])
def test_a_trace_leaves_out_the_first_steps(tmp_path: Path, steps: int) -> None:
    mine = profile()
    with phases_of(mine, "student", steps, tmp_path) as phases:
        for step in range(steps):
            with phases("forward"):
                torch.ones(step + 1, 7) @ torch.ones(7, 3)
            phases.step()
    path = tmp_path / "profile" / "student.json.gz"
    assert path.is_file() == (steps >= 4)
    if steps >= 4:
        events: list[dict[str, Any]] = json.loads(gzip.decompress(path.read_bytes()))["traceEvents"]
        products = [event for event in events if event.get("name") == "aten::mm"]
        skipped = min(10, steps // 4) + 1
        assert len(products) == min(8, steps - skipped)
        operators = {one["operator"]: one for one in mine.operators["student"]}
        assert operators["aten::mm"]["calls"] == len(products)
        assert 0 < sum(one["share"] for one in operators.values()) <= 1 + 1e-9


def test_a_fit_that_was_finished_before_has_no_trace_to_show(tmp_path: Path) -> None:
    mine = profile()
    with phases_of(mine, "teacher", 50, tmp_path):
        pass
    assert mine.operators == {}
    assert not (tmp_path / "profile").exists()


def test_a_profiled_run(call: Any, workplace: Path, quick_page: None) -> None:
    (workplace / "timed.yaml").write_text(RECIPE)
    plain, measured = (call("run", "timed.yaml", "--out", name, *more) for name, *more in (["a"], ["b", "--profile"]))
    assert plain.code == measured.code == 0
    assert not Path("a/profile").exists()
    assert sorted(path.name for path in Path("b/profile").iterdir()) == [
        "student.json.gz", "teacher.json.gz", "where-time-went.json", "where-time-went.md",
    ]  # fmt: skip
    found = json.loads(Path("b/profile/where-time-went.json").read_text())
    phases = {(one["group"], one["phase"]) for one in found["phases"]}
    inner = ("data", "views", "forward", "backward", "optimizer", "validation")
    assert {(group, phase) for group in ("teacher", "student", "controls") for phase in inner} <= phases
    assert {("run", phase) for phase in ("reading the data", "evaluation", "export", "report")} <= phases
    assert ("student", "teacher's answers") in phases
    assert Path("b/profile/where-time-went.md").read_text() == as_markdown(found)
    assert "operator, student" in measured.err and "Optimizer.step" in measured.err
    weights = [Path(name, "student", "model.safetensors").read_bytes() for name in "ab"]
    assert weights[0] == weights[1], "measuring changes nothing"
