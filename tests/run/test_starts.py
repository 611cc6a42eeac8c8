"""A start that has seen test samples is named; what students have seen is noted."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from limbeck.errors import DataError
from limbeck.preflight.checks import preflight
from limbeck.recipe.load import parse_recipe
from limbeck.run.pipeline import run
from limbeck.run.plan import Plan, plan_from_recipe
from limbeck.run.result import read_report
from limbeck.run.starts import leaks, unknown_starts
from limbeck.teachers.seen import SEEN, count_leaked, count_repeated

FIRST = """\
name: first
seeds: 1
data: {source: digits, classes: [1, 3, 5]}
student: {model: {mlp: {hidden: [8]}}, train: {steps: 4, batch_size: 64}}
objective: [cross_entropy]
controls: [labels]
export: {onnx: false}
"""
START = "student.source=run:"


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(planned(), out=tmp_path_factory.mktemp("runs") / "first")


def planned(*told: str) -> Plan:
    return plan_from_recipe(parse_recipe(FIRST, told))


def levels(plan: Plan) -> list[str]:
    return [one.level for one in preflight(plan) if one.name == "seen"]


def test_students_and_controls_note_what_they_have_seen(first: Path) -> None:
    data = planned().data
    for folder in (first / "student", first / "controls" / "labels"):
        assert count_repeated(folder, data.pool) == len(data.pool) == len(data.train) + len(data.validation)
        assert count_leaked(folder, data) == 0


def test_a_start_of_another_split_is_warned_of_and_named_in_the_report(first: Path, tmp_path: Path) -> None:
    same, other = planned(f"{START}{first}"), planned(f"{START}{first}", "data.split_seed=1")
    assert leaks(same) == [] and levels(same) == []
    (told,) = leaks(other)
    seen = torch.isin(hashes(other.data.test.inputs), hashes(same.data.pool.inputs)).sum()
    assert f"trained on {int(seen)} of this run's {len(other.data.test)} test samples" in told and levels(other) == [
        "warning"
    ]
    report = read_report(run(other, out=tmp_path / "run"))
    assert told in report["data"]["notes"]
    assert count_repeated(tmp_path / "run" / "student", same.data.pool) == len(same.data.pool), "inherited"


def hashes(inputs: torch.Tensor) -> torch.Tensor:
    weights = torch.rand(inputs[0].numel(), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return inputs.flatten(1).double() @ weights


def test_an_earlier_student_that_has_seen_test_samples_is_no_teacher(first: Path) -> None:
    told = ("controls=[]", "objective=[soft_labels]", f"teacher={{source: 'run:{first}/student'}}")
    assert planned(*told).teacher is not None
    with pytest.raises(DataError, match=r"was trained on \d+ of this run's"):
        planned(*told, "data.split_seed=1")


def test_a_run_without_a_record_cannot_tell_and_says_so(first: Path, tmp_path: Path) -> None:
    plan = planned(f"{START}{first}", "data.split_seed=1")
    kept = (first / "student" / SEEN).read_bytes()
    (first / "student" / SEEN).unlink()
    try:
        assert leaks(plan) == [] and levels(plan) == ["note"]
        assert "Nobody noted what the weights in" in unknown_starts(plan)[0]
    finally:
        (first / "student" / SEEN).write_bytes(kept)
