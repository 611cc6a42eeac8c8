"""A run that goes on from a student of fewer classes: what it kept, what it learned, and what the report says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from limbeck.recipe.load import parse_recipe
from limbeck.report.class_groups import earlier_table, earlier_told
from limbeck.report.markdown import render_markdown
from limbeck.run.memory import judges_memory, old_and_new, unheld
from limbeck.run.pipeline import run
from limbeck.run.plan import Plan, plan_from_recipe
from limbeck.run.reload import load_model
from limbeck.run.result import read_report

FIRST = """\
name: first
seeds: 1
data: {source: digits, classes: [1, 3, 5]}
student: {model: {mlp: {hidden: [32]}}, train: {steps: 200, batch_size: 64, lr: 0.01}}
objective: [cross_entropy]
controls: []
export: {onnx: false}
"""
SECOND = """\
name: second
seeds: 2
data: {source: digits, classes: [7, 5, 3, 1], unlabelled_classes: [1, 3, 5]}
teacher: {source: "run:FIRST/student", classes: {map: {1: 1, 3: 3, 5: 5}}}
student: {source: "run:FIRST", model: {mlp: {hidden: [32]}}, train: {steps: 150, batch_size: 64, lr: 0.003}}
objective: [soft_labels: {temperature: 2, weight: 0.5, per_sample: correctness}, cross_entropy: {weight: 0.5}]
controls: [labels, scratch]
export: {onnx: false}
"""


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(plan_from_recipe(parse_recipe(FIRST)), out=tmp_path_factory.mktemp("runs") / "first")


def plan_of(first: Path, *settings: str) -> Plan:
    return plan_from_recipe(parse_recipe(SECOND.replace("FIRST", str(first)), settings))


@pytest.fixture(scope="module")
def finished(first: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(plan_of(first), out=tmp_path_factory.mktemp("runs") / "second")


@pytest.fixture(scope="module")
def report(finished: Path) -> dict[str, Any]:
    return read_report(finished)


def test_student_and_controls_start_with_the_rows_of_known_classes(first: Path) -> None:
    plan, earlier = plan_of(first), load_file(first / "student/model.safetensors")
    models = [plan.model(plan.student, seed) for seed in (0, 1)]
    for made in models:
        weight = made.net.state_dict()["head.weight"]
        assert torch.equal(weight[1:], earlier["head.weight"].flip(0))  # 5, 3, 1 now and 1, 3, 5 before
        assert made.carried == (3, 2, 1) and made.new_rows["head.weight"] == (0,)
    assert not torch.equal(*(made.net.state_dict()["head.weight"][0] for made in models))
    scratch = plan.model(plan.student.from_scratch(), 0)
    assert not scratch.carried and not torch.equal(scratch.net.state_dict()["body.1.weight"], earlier["body.1.weight"])


def test_with_the_earlier_student_as_teacher_old_classes_are_kept_and_without_it_they_are_lost(
    report: dict[str, Any],
) -> None:
    found = report["earlier_classes"]
    assert [(group["key"], group["classes"]) for group in found["groups"]] == [
        ("known", ["5", "3", "1"]), ("new", ["7"]),
    ]  # fmt: skip
    assert found["before"]["mean"] > 0.95
    assert found["forgotten"]["student"]["mean"] < 0.05
    assert found["models"]["student"]["new"]["mean"] > 0.8
    assert found["forgotten"]["labels"]["mean"] > 0.2 and found["models"]["labels"]["new"]["mean"] > 0.9
    assert found["forgotten"]["scratch"] is None and found["forgotten"]["teacher"] is None
    assert found["models"]["teacher"]["new"]["mean"] == 0


def test_what_was_forgotten_is_paired_with_the_start_by_sample(
    report: dict[str, Any], finished: Path, first: Path
) -> None:
    data = plan_of(first).data
    rows = torch.isin(data.test.labels, torch.tensor([1, 2, 3]))
    inputs, labels = data.test.batch(rows.nonzero().squeeze(1)).inputs, data.test.labels[rows]
    start = torch.tensor([3, 2, 1])[load_model(first / "student")(inputs).logits.argmax(1)]
    lost = []
    for seed in (0, 1):
        now = load_model(finished / f"student/seeds/{seed}")(inputs).logits.argmax(1)
        lost.append(((start == labels).double() - (now == labels).double()).mean().item())
    found = report["earlier_classes"]["forgotten"]["student"]
    assert found["values"] == pytest.approx(lost)
    assert found["mean"] == pytest.approx(np.mean(lost))


def test_the_pages_have_old_and_new_classes(report: dict[str, Any], finished: Path) -> None:
    table = earlier_table(report)
    assert table is not None
    labels = [row.label for row in table.groups[0].rows]
    assert labels == ["Known before, at the start", "Known before: 5, 3, 1", "New: 7", "Forgotten"]
    assert "The student has forgotten" in earlier_told(report)
    for page in ((finished / "report.html").read_text(), render_markdown(report)):
        assert "Old and new classes" in page
    assert earlier_table({**report, "earlier_classes": None}) is None


def test_the_best_control_is_not_chosen_by_labels_of_new_classes_alone(report: dict[str, Any]) -> None:
    (told,) = (note for note in report["verdict"]["notes"] if "to choose the best control by" in note)
    assert told.startswith("There are no validation labels of 1, 3, 5 to choose the best control by")


@pytest.mark.parametrize("classes", [[1, 3, 5], [7, 8, 9]])
def test_there_is_nothing_to_tell_where_all_classes_or_none_were_known(
    classes: list[int], first: Path, tmp_path: Path
) -> None:
    settings = [f"data.classes={classes}", "data.unlabelled_classes=[]", "teacher=null", "objective=[cross_entropy]"]
    plan = plan_of(first, *settings, "seeds=1", "student.train.steps=5")
    assert plan.student.names is not None and bool(plan.student.names.known) == (classes == [1, 3, 5])
    assert read_report(run(plan, out=tmp_path / "run"))["earlier_classes"] is None


HELD = ("teacher=null", "objective=[cross_entropy, learning_without_forgetting]")


def test_a_start_that_remembers_may_stand_for_a_teacher(first: Path) -> None:
    plan = plan_of(first, *HELD)
    assert plan.teacher is None and plan.hidden_classes == ("1", "3", "5")


def test_the_verdict_on_remembering_names_what_was_kept_and_what_was_learned(first: Path, tmp_path: Path) -> None:
    folder = run(plan_of(first, *HELD, "controls=[labels]", "student.train.steps=20"), out=tmp_path / "run")
    report = read_report(folder)
    verdict, found = report["verdict"], report["earlier_classes"]["models"]
    assert (
        "earning without forgetting" in verdict["sentence"] and "the control without it (labels)" in verdict["sentence"]
    )
    (told,) = (note for note in verdict["notes"] if note.startswith("Right on classes that the start knew"))
    each = {
        name: f"{name} {100 * found[name]['known']['mean']:.1f} % and {100 * found[name]['new']['mean']:.1f} %"
        for name in ("student", "labels")
    }
    assert told == (
        f"Right on classes that the start knew (5, 3, 1), and on new ones (7): {each['student']}; {each['labels']}."
    )
    fits = [json.loads((folder / f"{who}/seeds/0/fit.json").read_text()) for who in ("student", "controls/labels")]
    assert ["forgetting" in fit["objective"] for fit in fits] == [True, False]
    assert found["student"] != found["labels"]


def test_beside_a_teacher_the_controls_are_held_too(first: Path) -> None:
    both = "objective=[soft_labels, cross_entropy, learning_without_forgetting]"
    assert not judges_memory(plan_of(first, both)) and judges_memory(plan_of(first, *HELD))
    assert unheld(plan_of(first, both)) == () and not judges_memory(plan_of(first))


def test_where_all_classes_were_known_the_verdict_says_that_nothing_tells_of_forgetting(first: Path) -> None:
    plan = plan_of(first, *HELD, "data.classes=[1, 3, 5]", "data.unlabelled_classes=[]")
    (told,) = old_and_new(plan, {})
    assert told.startswith("The start knew all of these classes")
