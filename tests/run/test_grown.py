"""A run whose student, or teacher, is grown in one step."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import limbeck
from limbeck.errors import ObjectiveError, UserError
from limbeck.export.run_onnx import Session
from limbeck.models import Forest, Tree
from limbeck.preflight.checks import preflight
from limbeck.recipe.load import parse_recipe
from limbeck.run import pipeline
from limbeck.run.evaluation import evaluate
from limbeck.run.plan import Plan, plan_from_recipe
from limbeck.run.reload import load_model
from limbeck.train.settings import Settings

TREES = """
name: trees
seeds: 2
data: {source: digits, labels_per_class: 20}
teacher: {model: {mlp: {hidden: [32]}}, train: {epochs: 6, lr: 0.01}}
student: {model: {tree: {max_depth: 6}}}
objective: [soft_labels: {temperature: 2, weight: 0.9}, cross_entropy: {weight: 0.1}]
"""


def plan_of(text: str) -> Plan:
    return plan_from_recipe(parse_recipe(text))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trees") / "run"
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("LIMBECK_CACHE", "off")
        patched.setattr("limbeck.run.pipeline.render_html", lambda report: "page")
        pipeline.run(plan_of(TREES), out=folder)
    return folder


@pytest.fixture(scope="module")
def report(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "report.json").read_text())
    return found


def test_the_report_has_a_verdict_and_neither_steps_nor_curves_of_trees(report: dict[str, Any]) -> None:
    assert report["verdict"]["outcome"] in ("helped", "hurt", "equal", "unclear")
    trees = {key: one for key, one in report["models"].items() if key != "teacher"}
    assert trees.keys() == {"student", "labels", "smoothing", "teacher_labels", "self_training"}
    for key, one in trees.items():
        assert one["steps"] is None and one["steps_per_seed"] is None and one["macs"] is None
        assert report["curves"][key] == [] and one["architecture"] == "tree(max_depth=6)"
        assert 0 < one["parameters"] < 2**6 * 11 and one["bytes"] > 4 * one["parameters"]
    assert report["models"]["teacher"]["steps"] and report["curves"]["teacher"]
    assert not any("optimizer steps" in note for note in report["verdict"]["notes"])
    said = (
        "Nothing is random in the start of tree(max_depth=6): its seeds differ in which of two equally good questions"
    )
    assert any(note.startswith(said) and "labels that are drawn" in note for note in report["data"]["notes"])


def test_the_teacher_was_asked_once_for_each_sample_that_a_fit_may_show(report: dict[str, Any]) -> None:
    assert report["cost"]["teacher_forwards"] > 0
    assert report["cost"]["teacher_forwards"] <= 2 * 2 * report["data"]["train"]


def test_the_file_that_ships_says_what_the_saved_trees_say(run: Path) -> None:
    model, data = load_model(run / "student"), limbeck.Data.open("digits")
    pixels = data.test.inputs[:50].numpy()
    logits, _ = Session(run / "export" / "student.onnx").logits_and_probabilities(pixels)
    with torch.no_grad():
        mine = model(data.test.batch(torch.arange(50)).inputs).logits
    np.testing.assert_allclose(logits, mine.numpy(), atol=1e-4)
    assert load_file(run / "student" / "model.safetensors").keys() == {
        "feature", "child", "root", "scale", "threshold", "value",
    }  # fmt: skip
    assert not [path for path in run.rglob("*") if path.suffix in (".pkl", ".joblib", ".skops")]


def test_a_finished_run_is_evaluated_again(run: Path, report: dict[str, Any]) -> None:
    student = report["models"]["student"]
    kept = report["seeds"].index(student["best_seed"])
    (again,) = evaluate(run, None)["student"]["accuracy"]["values"]
    assert again == pytest.approx(student["metrics"]["accuracy"]["values"][kept])


@pytest.mark.usefixtures("quick_page")
def test_a_stopped_run_goes_on_to_the_same_trees(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = pipeline.describe_models, []

    def stop_once(*given: Any) -> Any:
        calls.append(given)
        if len(calls) == 1:
            raise KeyboardInterrupt
        return real(*given)

    monkeypatch.setattr(pipeline, "describe_models", stop_once)
    with pytest.raises(KeyboardInterrupt):
        pipeline.run(plan_of(TREES), out=tmp_path / "run")
    (tmp_path / "run" / "student" / "seeds" / "1" / "fit.json").unlink()
    pipeline.run(plan_of(TREES), out=tmp_path / "run", resume=True)
    name = Path("student") / "seeds" / "1" / "model.safetensors"
    assert (tmp_path / "run" / name).read_bytes() == (run / name).read_bytes()


@pytest.mark.usefixtures("quick_page")
@pytest.mark.parametrize("model", ["{forest: {trees: 5, max_depth: 6}}", "{boosting: {rounds: 5}}"])
def test_forests_and_boosted_trees_go_the_same_way(model: str, tmp_path: Path) -> None:
    text = TREES.replace("{tree: {max_depth: 6}}", model) + "controls: [labels]\n"
    report = json.loads((pipeline.run(plan_of(text), out=tmp_path / "run") / "report.json").read_text())
    student = report["models"]["student"]
    assert student["metrics"]["accuracy"]["mean"] > 0.6 and report["export"]["onnx"]["agreement"] == 1
    assert report["export"]["verdict"]["gain"] == pytest.approx(report["verdict"]["gain"], abs=0.005)


@pytest.mark.usefixtures("quick_page")
def test_a_forest_teaches_a_network(tmp_path: Path) -> None:
    text = """
seeds: 1
data: {source: digits}
teacher: {model: {forest: {trees: 20}}}
student: {model: linear, train: {epochs: 2, lr: 0.01}}
objective: [soft_labels: {temperature: 1}]
controls: [labels]
export: {onnx: false}
"""
    report = json.loads((pipeline.run(plan_of(text), out=tmp_path / "run") / "report.json").read_text())
    assert report["models"]["teacher"]["metrics"]["accuracy"]["mean"] > 0.9
    assert report["models"]["teacher"]["steps"] is None and report["models"]["student"]["steps"] > 0


@pytest.mark.usefixtures("quick_page")
@pytest.mark.parametrize("student", [lambda: Tree((8,), 3), Tree((8,), 3)], ids=["a factory", "a module"])
def test_trees_from_python(student: Any, tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=(300, 8)).astype("float32")
    data = limbeck.Data.from_arrays(train=(inputs, inputs[:, :3].argmax(1)))
    torch.manual_seed(0)
    result = limbeck.distill(nn.Linear(8, 3), student, data, seeds=1, out=tmp_path / "run", progress=False)
    assert result.report["models"]["labels"]["metrics"]["accuracy"]["mean"] > 0.6
    assert isinstance(result.student.net, Tree) and len(result.student.net.value) > 3


@pytest.mark.parametrize(
    ("text", "kind", "says"),
    [
        (TREES.replace("{max_depth: 6}}}", "{max_depth: 6}}, train: {epochs: 3}}"), UserError,
         "tree(max_depth=6) is grown in one step, so student.train says nothing to it; leave it out."),
        (TREES.replace("labels_per_class: 20", "augment: [shift]"), UserError,
         "tree(max_depth=6) is grown on every view of every sample, and data.views: fresh has no end; give data.views "
         "a number."),
        (TREES + "export: {int8: true}\\n", UserError,
         "An int8 file is made of matrix products, and trees have none; set export.int8 to false."),
        (TREES.replace("{max_depth: 6}}}", "{max_depth: 6}}, source: 'file:a.safetensors'}"), UserError,
         "The student is grown anew, so it cannot start from weights; leave student.source out."),
        (TREES.replace("cross_entropy: {", "entropy_penalty: {"), ObjectiveError,
         "Trees learn from a target for each row, and entropy_penalty gives none. Terms that do: cross_entropy, "
         "soft_labels (without standardise), teacher_labels."),
        (TREES.replace("objective: [soft_labels: {temperature: 2, weight: 0.9}, cross_entropy: {weight: 0.1}]",
         "stages: [{name: a, objective: [soft_labels]}, {name: b, objective: [cross_entropy]}]"), UserError,
         "Trees are grown anew in every stage; give stage b from: scratch, got from: a."),
        (TREES.replace("{mlp: {hidden: [32]}}, train: {epochs: 6, lr: 0.01}", "forest, train: {epochs: 2}"), UserError,
         "forest is grown in one step, so teacher.train says nothing to it; leave it out."),
    ],
    ids=["train", "fresh", "int8", "weights", "term", "stage", "teacher"],
)  # fmt: skip
def test_what_trees_cannot_do_gets_a_sentence(text: str, kind: type[UserError], says: str) -> None:
    with pytest.raises(kind) as caught:
        plan_of(text.replace("\\n", "\n"))
    assert str(caught.value) == says


def test_a_check_says_nothing_of_steps_that_trees_do_not_take() -> None:
    found = preflight(plan_of(TREES))
    assert [one for one in found if one.level == "fault"] == []
    (time,) = [one.sentence for one in found if one.name == "time"]
    assert time.endswith("for the teacher, and growing the trees of student and controls, which was not tried.")
    assert not [one for one in found if one.name in ("student_constant", "gradient", "frozen", "capacity")]


def test_one_step_shows_every_view_of_every_sample() -> None:
    plan = plan_of(TREES.replace("labels_per_class: 20", "augment: [shift], views: 3"))
    assert plan.stages[0].settings == Settings(steps=1, batch_size=3 * len(plan.data.train))
    assert plan.student.normalise is None and plan.student.grown
    assert isinstance(plan.model(plan.student, 0).net, Tree) and not isinstance(plan.student.build(), Forest)
