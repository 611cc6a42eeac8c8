"""Several tasks at once, end to end: heads, teachers, controls, verdicts and what the report says."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from limbeck.errors import DataError, ExportError, UserError
from limbeck.export.manifest import GRAPH
from limbeck.export.parity import check_parity
from limbeck.export.run_onnx import Session
from limbeck.models.weights import read_card
from limbeck.preflight.checks import preflight
from limbeck.recipe.load import parse_recipe
from limbeck.report.further import tasks_table, tasks_told
from limbeck.report.html import render_html
from limbeck.report.markdown import render_markdown
from limbeck.run.evaluation import evaluate
from limbeck.run.pipeline import expected_steps, run
from limbeck.run.plan import Plan, plan_from_recipe
from limbeck.run.rehearsal import rehearse
from limbeck.run.reload import load_model
from limbeck.run.result import read_report
from limbeck.run.ship import write_student
from limbeck.train.heads import predict_heads
from limbeck.train.loop import predict

RECIPE = """\
name: tasks
seeds: 2
data: {source: digits, labels_per_class: 20}
tasks:
  parity:
    classes: {even: [0, 2, 4, 6, 8], odd: [1, 3, 5, 7, 9]}
    teacher: {model: {mlp: {hidden: [32]}}, train: {steps: 100, batch_size: 64, lr: 0.01}}
  round: {classes: {round: [0, 6, 8, 9], straight: [1, 4, 7]}}
teacher: {model: {mlp: {hidden: [32]}}, train: {steps: 100, batch_size: 64, lr: 0.01}}
student: {model: {mlp: {hidden: [16]}}, train: {steps: 100, batch_size: 64, lr: 0.01}}
objective:
  - soft_labels: {weight: 0.9}
  - cross_entropy: {weight: 0.1}
  - soft_labels: {weight: 0.45, task: parity}
  - cross_entropy: {weight: 0.05, task: parity}
  - cross_entropy: {weight: 0.5, task: round}
controls: [labels, teacher_labels, single]
export: {onnx: false}
"""


def plan_of(*settings: str) -> Plan:
    return plan_from_recipe(parse_recipe(RECIPE, settings))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(plan_of("balance=uncertainty"), out=tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture(scope="module")
def report(finished: Path) -> dict[str, Any]:
    return read_report(finished)


def test_the_report_has_every_model_in_every_task(finished: Path, report: dict[str, Any]) -> None:
    parity, shape = report["tasks"]
    assert (parity["name"], shape["name"]) == ("parity", "round")
    assert shape["classes"] == {"round": ["0", "6", "8", "9"], "straight": ["1", "4", "7"]}
    assert shape["test"] < parity["test"] == report["data"]["test"]
    assert set(parity["models"]) == {"teacher", "student", "labels", "teacher_labels", "single"}
    assert set(shape["models"]) == {"student", "labels", "teacher_labels", "single"} and shape["teacher"] is None
    for key in ("student", "labels", "single"):
        assert parity["models"][key]["accuracy"]["mean"] > 0.75 and shape["models"][key]["accuracy"]["mean"] > 0.75
    assert report["models"]["student"]["metrics"]["accuracy"]["mean"] > 0.75
    plan, student = plan_of(), load_model(finished / "student/seeds/1")
    labels = plan.data.test.labels
    right = predict_heads(student, plan.data.test)["parity"].argmax(1) == labels % 2
    assert parity["models"]["student"]["accuracy"]["values"][1] == pytest.approx(float(right.double().mean()))
    teacher = predict(load_model(finished / "tasks/parity/teacher"), plan.data.test).argmax(1) == labels % 2
    assert parity["models"]["teacher"]["accuracy"]["mean"] == pytest.approx(float(teacher.double().mean()))
    assert parity["models"]["student"]["agreement"] is not None


def test_every_task_has_a_verdict_and_all_are_corrected_together(report: dict[str, Any]) -> None:
    verdicts = [report["verdict"], *(task["verdict"] for task in report["tasks"])]
    assert [one["against"] for one in verdicts] == ["labels"] * 3
    for task in report["tasks"]:
        accuracy = {key: task["models"][key]["accuracy"]["values"] for key in ("student", "labels")}
        assert task["verdict"]["values"] == pytest.approx(np.subtract(accuracy["student"], accuracy["labels"]).tolist())
    assert max(one["p_value"] for one in verdicts) <= 1
    assert report["tasks"][0]["verdict"]["over_teacher_labels"] is not None
    assert report["tasks"][1]["verdict"]["over_teacher_labels"] is None, "nobody teaches this task"
    assert any("The teacher of parity has seen 1,438 labels" in one for one in report["tasks"][0]["verdict"]["notes"])


def test_weights_that_were_learned_are_told(report: dict[str, Any]) -> None:
    for task in report["tasks"]:
        assert set(task["weights"]) == {"student", "labels", "teacher_labels"}
        assert set(task["weights"]["student"]) == {"main", task["name"]}
        assert all(value > 0 and value != 1 for value in task["weights"]["student"].values())


def test_pages_show_the_tasks(report: dict[str, Any]) -> None:
    table = tasks_table(report)
    assert table is not None
    assert [row.label for row in table.groups[0].rows] == ["Main task", "parity", "round"]
    assert [name for name, *_ in tasks_told(report)] == ["parity", "round"]
    markdown, page = render_markdown(report), render_html(report)
    assert "## Several tasks" in markdown and "**parity:" in markdown
    assert "In the end its loss was multiplied by" in markdown
    assert "Several tasks" in page and "round: 0, 6, 8, 9; straight: 1, 4, 7" in page
    alone = {**report, "tasks": None}
    assert tasks_table(alone) is None and "Several tasks" not in render_markdown(alone)


def test_a_fit_says_what_it_learned_by_and_a_folder_makes_its_model_again(finished: Path) -> None:
    fit = json.loads((finished / "student/seeds/0/fit.json").read_text())
    assert "soft_labels(temperature=4.0, standardise=False) of parity" in fit["objective"]
    assert list(fit["learned"]["uncertainty"]) == ["main", "parity", "round"]
    model = load_model(finished / "controls/labels")
    heads = model(torch.zeros(3, 1, 8, 8)).heads
    assert {name: tuple(said.shape) for name, said in heads.items()} == {"parity": (3, 2), "round": (3, 2)}
    steps = read_report(finished)["models"]
    assert steps["student"]["steps"] == steps["labels"]["steps"] == 100
    assert expected_steps(plan_of())[0] == 200, "both teachers"


def test_without_terms_about_it_a_task_changes_no_weight_of_the_others(tmp_path: Path) -> None:
    """A head that nothing pulls at leaves body and main head bit for bit what they are without it."""
    settings = ["seeds=1", "controls=[]", "student.train.weight_decay=0", "student.train.steps=20"]
    terms = "{soft_labels: {weight: 0.9}}, {cross_entropy: {weight: 0.1}}"
    with_head = [f"objective=[{terms}, {{cross_entropy: {{task: parity, weight: 0}}}}]", "tasks.parity.teacher=null"]
    recipe = RECIPE.replace("  round: {classes: {round: [0, 6, 8, 9], straight: [1, 4, 7]}}\n", "")
    both = run(plan_from_recipe(parse_recipe(recipe, [*settings, *with_head])), out=tmp_path / "both")
    alone = [*settings, f"objective=[{terms}]", "tasks=null"]
    one = run(plan_from_recipe(parse_recipe(recipe, alone)), out=tmp_path / "one")
    mine, theirs = (load_file(folder / "student/model.safetensors") for folder in (both, one))
    assert mine.keys() - theirs.keys() == {"head.weight_parity", "head.bias_parity"}
    assert all(torch.equal(mine[name], theirs[name]) for name in theirs)


def test_shuffled_labels_of_a_task_change_that_task_alone(tmp_path: Path) -> None:
    """With a frozen body and main head each task learns in its own head, whatever the others are taught."""
    settings = [
        "seeds=1", "controls=[]", "student.train.steps=20", "student.freeze=[backbone]", "teacher=null",
        "tasks.parity.teacher=null", "student.train.weight_decay=0",
        "objective=[cross_entropy, cross_entropy: {task: parity}, cross_entropy: {task: round}]",
    ]  # fmt: skip
    other = "tasks.parity.classes={even: [0, 1, 2, 3, 4], odd: [5, 6, 7, 8, 9]}"
    one, two = (
        load_file(run(plan_of(*settings, *more), out=tmp_path / str(len(more))) / "student/model.safetensors")
        for more in ([], [other])
    )
    changed = {name for name in one if not torch.equal(one[name], two[name])}
    assert changed == {"head.weight_parity", "head.bias_parity"}


def test_the_file_that_ships_has_an_output_for_each_head_and_names_its_classes(finished: Path) -> None:
    plan, model = plan_of(), load_model(finished / "student")
    card = read_card(finished / "student")
    manifest = write_student(finished, plan, model, seed=0, temperature=1.0, sha256=card["sha256"])
    assert manifest["outputs"] == ["logits", "probabilities"]
    assert manifest["tasks"] == {
        "parity": {"output": "logits_parity", "classes": ["even", "odd"]},
        "round": {"output": "logits_round", "classes": ["round", "straight"]},
    }
    session, inputs = Session(finished / "export" / GRAPH), plan.data.test.inputs[:7]
    found = session.further_logits(inputs.numpy(), batch_size=3)
    said = model(inputs.float() / 255 if inputs.dtype == torch.uint8 else inputs).heads
    assert list(found) == ["logits_parity", "logits_round"]
    for name in said:
        np.testing.assert_allclose(found[f"logits_{name}"], said[name].detach().numpy(), rtol=1e-4, atol=1e-4)
    wrong = copy.deepcopy(model)
    assert wrong.many_heads is not None
    wrong.many_heads.get_parameter("bias_round").data += 1
    with pytest.raises(ExportError, match="does not give the model's answers in the task round: off by 1"):
        check_parity(wrong, finished / "export" / GRAPH, inputs)


def test_a_network_for_one_task_alone_starts_alike_and_learns_in_its_own_head(
    finished: Path, report: dict[str, Any]
) -> None:
    plan = plan_of()
    assert plan.controls == ("labels", "teacher_labels", "single", "single-parity", "single-round")
    assert plan_of("controls=null").controls == ("labels", "smoothing", "teacher_labels", "self_training")
    start = plan.model(plan.student, 0).net.state_dict()
    for name, learned in (("single", "weight"), ("single-parity", "weight_parity"), ("single-round", "weight_round")):
        found = load_file(finished / "controls" / name / "seeds/0/model.safetensors")
        heads = [key for key in found if key.startswith("head.weight")]
        assert [key for key in heads if not torch.equal(found[key], start[key])] == [f"head.{learned}"]
    assert "single-parity" not in report["models"] and report["models"]["single"]["metrics"]["accuracy"]["mean"] > 0.75
    assert set(evaluate(finished)) == {"teacher", "student", "labels", "teacher_labels", "single"}


def test_check_and_rehearsal_ask_all_teachers() -> None:
    rehearse(plan_of())
    found = preflight(plan_of("teacher=null", "objective=[cross_entropy, soft_labels: {task: parity}, "
                              "cross_entropy: {task: round}]"))  # fmt: skip
    assert not [one for one in found if one.level == "fault"], found


def test_a_student_without_a_classifier_to_stand_beside_and_a_class_that_is_not_there_are_refused() -> None:
    with pytest.raises(UserError, match="tasks share a network and have a head each, but tree"):
        plan_of("student={model: tree}")
    with pytest.raises(DataError, match=r'tasks.round.classes: digits has no class "ten"'):
        plan_of("tasks.round.classes={round: [ten], straight: [1]}")
