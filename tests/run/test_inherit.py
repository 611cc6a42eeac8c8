"""A student and its controls that start from layers of the teacher."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from limbeck.errors import ModelError, RecipeError
from limbeck.preflight.checks import preflight
from limbeck.recipe.load import parse_recipe
from limbeck.run import jobs, pipeline
from limbeck.run.plan import Plan, plan_from_recipe
from limbeck.run.reload import load_model

RECIPE = """\
name: inherit
seeds: 2
data: {source: digits, classes: [3, 5, 8]}
teacher: {model: {mlp: {hidden: [8, 8, 8, 8]}}, train: {steps: 40, lr: 0.01}}
student: {source: teacher, model: {mlp: {hidden: [8, 8]}}, train: {steps: 12, batch_size: 64, lr: 0.01}}
objective: [soft_labels, cross_entropy]
controls: [labels]
export: {onnx: false}
"""


def plan_of(text: str) -> Plan:
    return plan_from_recipe(parse_recipe(text))


def carried_out(text: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[dict[str, Any], dict[str, Any]]:
    """Run a recipe; return the report, and the weights that each fit began with, by name and seed."""
    starts: dict[str, Any] = {}
    real = jobs.fit

    def noting(model: Any, *given: Any, **named: Any) -> Any:
        weights = {name: value.clone() for name, value in model.net.state_dict().items()}
        starts[str(named["checkpoint"].parent.relative_to(folder))] = weights
        return real(model, *given, **named)

    monkeypatch.setattr(jobs, "fit", noting)
    pipeline.run(plan_of(text), out=folder)
    return json.loads((folder / "report.json").read_text("utf-8")), starts


@pytest.fixture(autouse=True)
def _quick(quick_page: None) -> None:
    """Draw no page."""


def test_student_and_controls_start_from_the_same_layers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report, starts = carried_out(RECIPE, tmp_path / "run", monkeypatch)
    teacher = load_model(tmp_path / "run/teacher").net.state_dict()
    for seed in (0, 1):
        for role in ("student", "controls/labels"):
            start = starts[f"{role}/seeds/{seed}"]
            for name in ("body.1.weight", "body.3.bias", "head.weight"):
                assert torch.equal(start[name], teacher[name]), (role, seed, name)
    (stage,) = report["stages"]
    assert stage["copied"]["body.3.weight"] == "body.3.weight"
    (note,) = (note for note in report["data"]["notes"] if "start from weights of the teacher" in note)
    assert "100% of the student's parameters" in note and "body.3.weight from body.3.weight" in note


def test_the_list_names_layers_of_the_teacher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = RECIPE.replace("source: teacher,", "source: teacher, layers: [0, 3],")
    _, starts = carried_out(text, tmp_path / "run", monkeypatch)
    teacher = load_model(tmp_path / "run/teacher").net.state_dict()
    assert torch.equal(starts["student/seeds/1"]["body.3.weight"], teacher["body.7.weight"])


def test_each_seed_starts_from_its_own_teacher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = RECIPE.replace("teacher: {model", "teacher: {per_seed: true, model")
    _, starts = carried_out(text, tmp_path / "run", monkeypatch)
    for seed in (0, 1):
        teacher = load_model(tmp_path / f"run/teacher/seeds/{seed}").net.state_dict()
        assert torch.equal(starts[f"student/seeds/{seed}"]["head.weight"], teacher["head.weight"])


def test_assistants_start_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stages = """
stages:
  - {name: a, from: scratch, student: {model: {mlp: {hidden: [8, 8, 8]}}}, objective: [soft_labels, cross_entropy]}
  - {name: b, from: scratch, teacher: a, objective: [soft_labels, cross_entropy]}
  - {name: c, objective: [cross_entropy]}
"""
    text = RECIPE.replace("objective: [soft_labels, cross_entropy]\n", stages)
    report, starts = carried_out(text, tmp_path / "run", monkeypatch)
    teacher = load_model(tmp_path / "run/teacher").net.state_dict()
    assert not torch.equal(starts["stages/a/student/seeds/0"]["head.weight"], teacher["head.weight"])
    assert torch.equal(starts["stages/b/student/seeds/0"]["head.weight"], teacher["head.weight"])
    assert [bool(stage["copied"]) for stage in report["stages"]] == [False, True, False]


def test_check_says_what_is_copied() -> None:
    found = {finding.name: finding for finding in preflight(plan_of(RECIPE))}
    assert "100% of the student's parameters" in found["start"].sentence
    assert "fault" not in {finding.level for finding in found.values()}
    wide = preflight(plan_of(RECIPE.replace("hidden: [8, 8]}", "hidden: [9, 9]}")))
    assert ("fault", "start") in {(finding.level, finding.name) for finding in wide}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("hidden: [8, 8]}", "hidden: [9, 9]}"), "No layer of the teacher fits the student"),
        (("source: teacher,", "source: teacher, normalise: none,"), "give student.normalise and teacher.normalise"),
        (("source: teacher,", "source: teacher, layers: [0, 9],"), "expected one of the teacher's layers 0 to 3"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_written(
    change: tuple[str, str], said: str, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=said):
        pipeline.run(plan_of(RECIPE.replace(*change)), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "student: {source: teacher, model: mlp}",
            "student.source: teacher starts from layers of the teacher; expected",
        ),
        ("student: {source: teacher, model: mlp}\nteacher: {source: 'onnx:x.onnx'}", "expected a teacher of one model"),
        ("student: {source: teacher, model: mlp}\nteacher: {self: {}}", "expected a teacher of one model"),
        ("student: {source: teacher, model: mlp}\nteacher: {ensemble: [{model: mlp}, {model: mlp}]}", "of one model"),
        ("student: {layers: [0], model: mlp}", "layers are those of the teacher, so it goes with source: teacher"),
        (
            "student: {source: teacher, layers: [-1], model: mlp}\nteacher: {model: mlp}",
            r"student.layers.0 .*: expected 0 or more, got -1",
        ),
        ("student: {source: teacher, layers: odd, model: mlp}\nteacher: {model: mlp}", "expected 'even', or a list"),
    ],
)
def test_mistakes_get_a_sentence(text: str, said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        parse_recipe(text + "\nobjective: [cross_entropy]")
