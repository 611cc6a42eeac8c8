from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import limbeck.run.file_verdicts
from limbeck.evaluate.verdict import Verdict, judge
from limbeck.export import remedies
from limbeck.export.graph import export_graph
from limbeck.export.trace import trace_graph
from limbeck.recipe.load import load_recipe
from limbeck.run.file_verdicts import judge_files
from limbeck.run.jobs import Trained
from limbeck.run.pipeline import run
from limbeck.run.plan import Plan, plan_from_recipe
from limbeck.run.reload import load_model
from limbeck.train.loop import Progress


@pytest.fixture(scope="module")
def plan(finished_run: Path) -> Plan:
    return plan_from_recipe(load_recipe(finished_run / "recipe.yaml"))


def fits(run: Path, role: str) -> dict[int, Trained]:
    folders = {seed: run / role / "seeds" / str(seed) for seed in (0, 1)}
    return {seed: Trained(load_model(path), path, Progress(), seed, 1.0, 0) for seed, path in folders.items()}


@pytest.fixture(scope="module")
def sides(finished_run: Path) -> tuple[dict[int, Trained], dict[int, Trained]]:
    return fits(finished_run, "student"), fits(finished_run, "controls/labels")


def any_verdict() -> Verdict:
    draw = np.random.default_rng(0)
    one, other = (draw.integers(0, 2, (2, 50)).astype(float) for _ in range(2))
    return judge(one, {"labels": other}, validation={"labels": 1.0}, teacher=None)


def judged(plan: Plan, sides: Any) -> dict[Any, Verdict]:
    trace = trace_graph(sides[0][0].model, shape=plan.data.shape, kind="image")
    return judge_files(plan, *sides, any_verdict(), [], trace, ["onnx", "int8"])


def test_every_seed_of_both_sides_goes_through_the_same_search(
    plan: Plan, sides: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def noting(source: Path, target: Path, request: Any) -> Any:
        asked.append(request)
        return remedies.quantise_within(source, target, request)

    monkeypatch.setattr(limbeck.run.file_verdicts, "quantise_within", noting)
    found = judged(plan, sides)
    assert len(asked) == 4
    assert {request.exam.tolerance for request in asked} == {plan.tolerance}
    assert len({request.samples.tobytes() for request in asked}) == 1
    assert found["onnx"].against == found["int8"].against == "labels"
    assert found["int8"].notes == ()


def test_files_that_fail_their_gate_are_counted_and_told(
    plan: Plan, sides: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(source: Path, target: Path, request: Any) -> Any:
        search = remedies.quantise_within(source, target, request)
        assert search.attempts[0].judgement is not None
        refused = replace(search.attempts[0], judgement=replace(search.attempts[0].judgement, passed=False))
        return replace(search, attempts=(refused,))

    passing = judged(plan, sides)
    monkeypatch.setattr(limbeck.run.file_verdicts, "quantise_within", failing)
    found = judged(plan, sides)
    assert found["onnx"].notes == ()
    assert [note.split(" lost")[0] for note in found["int8"].notes] == [
        "2 of 2 int8 files of student", "2 of 2 int8 files of labels",
    ]  # fmt: skip
    assert found["int8"].gain == passing["int8"].gain  # the files themselves are the same


def test_the_int8_verdict_is_over_what_the_int8_files_say(
    plan: Plan, sides: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The int8 form of every file is replaced by one constant file, which makes both sides equal."""
    constant = tmp_path / "constant.onnx"
    export_graph(sides[0][0].model, constant, shape=plan.data.shape, kind="image")

    def same(source: Path, target: Path, request: Any) -> Any:
        target.write_bytes(constant.read_bytes())
        return remedies.Search((), 0.01)

    monkeypatch.setattr(limbeck.run.file_verdicts, "quantise_within", same)
    found = judged(plan, sides)
    assert found["int8"].gain == 0
    assert found["onnx"].gain != 0


def test_a_run_of_which_no_int8_file_passes_ends_well_and_says_why(
    tiny: Path, call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remedies, "judge", lambda *given: replace(JUDGE(*given), passed=False))
    arguments = ("--set", "seeds=1", "--set", "export.int8=true", "--set", "controls=[labels]", "--out", "refused")
    answer = call("run", tiny, *arguments)
    assert answer.code == 0
    assert "No int8 file ships: none of 4 attempts passed." in " ".join(answer.err.split())
    report = json.loads(Path("refused/report.json").read_text())
    int8 = report["export"]["int8"]
    assert (int8["file"], int8["metrics"], int8["verdict"], int8["gate"]["passed"]) == (None, None, None, False)
    assert report["export"]["verdict"] is not None
    assert not Path("refused/export/student.int8.onnx").exists()
    manifest = json.loads(Path("refused/export/manifest.json").read_text())
    assert manifest["graphs"]["int8"] is None and "student.int8.onnx" not in manifest["files"]
    assert "No int8 file ships" in Path("refused/report.html").read_text()
    asked = call("predict", "refused", "digit.png", "--int8")
    assert asked.code == 2 and "has no int8 file. No int8 file ships" in " ".join(asked.err.split())


JUDGE = remedies.judge


def test_the_test_split_plays_no_part_in_the_choice(finished_run: Path, plan: Plan, tmp_path: Path) -> None:
    """With other test samples the run ships the same int8 file."""
    test = plan.data.test
    turned = replace(test, inputs=255 - test.inputs, labels=test.labels.flip(0))
    folder = run(replace(plan, data=replace(plan.data, test=turned)), out=tmp_path / "turned")
    for name in ("student.onnx", "student.int8.onnx"):
        assert (folder / "export" / name).read_bytes() == (finished_run / "export" / name).read_bytes()
