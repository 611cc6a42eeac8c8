"""Runs whose objective has terms on features, through the real command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from limbeck.errors import ObjectiveError, UserError
from limbeck.recipe.load import parse_recipe
from limbeck.run import pipeline
from limbeck.run.knowledge import check_wishes
from limbeck.run.label import label
from limbeck.run.plan import Plan, plan_from_recipe
from limbeck.run.rehearsal import rehearse
from limbeck.run.watch import Silent

RECIPE = """\
name: hints
seeds: 2
data: {source: digits}
teacher: {model: {cnn: {width: 4}}, train: {steps: 40, lr: 0.01}}
student: {model: {cnn: {width: 2}}, train: {steps: 20, lr: 0.01}}
objective: [soft_labels, {hint: {layers: auto, weight: 100}}, cross_entropy]
controls: [labels, teacher_labels]
export: {onnx: false}
"""
MLP = {"student.model": "{mlp: {hidden: [8]}}"}


def plan(*settings: str, text: str = RECIPE) -> Plan:
    return plan_from_recipe(parse_recipe(text, settings))


def report_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "report.json").read_text("utf-8"))
    return found


@pytest.mark.parametrize(
    ("student", "layer", "shape"),
    [("{cnn: {width: 2}}", "body.4.2", [4, 4, 4]), ("{mlp: {hidden: [8]}}", "body.2", [8])],
    ids=["cnn to cnn", "cnn to mlp"],
)
def test_a_hint_goes_all_the_way(student: str, layer: str, shape: list[int], workplace: Path, call: Any) -> None:
    (workplace / "hints.yaml").write_text(RECIPE)
    done = call("run", "hints.yaml", "--set", f"student.model={student}", "--out", "run")
    assert done.code == 0, done.err
    said = " ".join(done.err.split())
    assert f"hint compares {layer} {shape} with the teacher's body.4.2 [8, 4, 4]" in said
    assert "The teacher's answers: live, since hint compares features as well" in said
    report = report_of(workplace / "run")
    assert report["stages"][0]["layers"] == [
        {
            "term": "hint", "student": layer, "teacher": "body.4.2", "student_shape": shape,
            "teacher_shape": [8, 4, 4],
        }
    ]  # fmt: skip
    assert report["verdict"]["against"] == "labels" and set(report["models"]) == {
        "teacher", "student", "labels", "teacher_labels",
    }  # fmt: skip
    assert report["cost"]["teacher_forwards"] >= 2 * 2 * 20 * 128
    sizes = {key: model["parameters"] for key, model in report["models"].items()}
    assert sizes["student"] == sizes["labels"], "no projection is shipped"
    records = [json.loads(line) for line in (workplace / "run" / "metrics.jsonl").read_text("utf-8").splitlines()]
    parts = {record["model"]: set(record["parts"]) for record in records}
    assert parts["student"] == {"soft_labels", "hint", "cross_entropy"} and parts["labels"] == {"cross_entropy"}


def test_a_run_that_was_interrupted_goes_on_to_the_same_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "render_html", lambda report: "")
    monkeypatch.setattr("limbeck.train.loop.CHECKPOINT_SECONDS", 0.0)
    whole = report_of(pipeline.run(plan("seeds=1"), out=tmp_path / "whole"))
    real, calls = pipeline.Silent.record, []

    class Breaking(Silent):
        def record(self, record: Any) -> None:
            calls.append(record)
            if record.model == "student":
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pipeline.run(plan("seeds=1"), out=tmp_path / "run", watcher=Breaking())
    again = report_of(pipeline.run(plan("seeds=1"), out=tmp_path / "run", resume=True))
    assert real is Silent.record and calls
    for model in whole["models"]:
        assert again["models"][model]["checksum"] == whole["models"][model]["checksum"]
    assert again["stages"][0]["layers"] == whole["stages"][0]["layers"]


def test_kept_answers_hold_no_features(tmp_path: Path) -> None:
    for mode in ("memory", "stored"):
        with pytest.raises(UserError, match=f"knowledge.mode {mode} keeps logits alone, but hint compares"):
            check_wishes(plan(f"knowledge.mode={mode}"))
    check_wishes(plan("knowledge.mode=live"))
    with pytest.raises(UserError, match="hint compares features, for which the teacher is heard live"):
        label(plan(f"knowledge.path={tmp_path}"), __import__("torch").device("cpu"), Silent())


def test_a_teacher_known_by_its_answers_is_refused_before_a_folder_is_made(tmp_path: Path) -> None:
    answers = tmp_path / "answers.csv"
    data = plan().data
    rows = [f"{data.pool.ids[row]},0" for row in [*data.train.tolist(), *data.validation.tolist()]]
    answers.write_text("id,label\n" + "\n".join(rows))
    text = RECIPE.replace("{model: {cnn: {width: 4}}, train: {steps: 40, lr: 0.01}}", f"{{source: 'labels:{answers}'}}")
    with pytest.raises(ObjectiveError, match=r"needs .*, which gives .*Terms that would work: .*teacher_labels"):
        rehearse(plan("objective=[{hint: {weight: 100}}, cross_entropy]", text=text))


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("objective=[hint: {layers: [body.99:body.1]}]", r"The network has no layer 'body\.99'; near it are body\."),
        ("objective=[attention_transfer]", None),
    ],
)
def test_a_rehearsal_names_pairs_or_says_what_is_wrong(setting: str, sentence: str | None) -> None:
    if sentence is None:
        assert rehearse(plan(setting)) == [
            "attention_transfer compares body.1.2 [2, 8, 8] with the teacher's body.1.2 [4, 8, 8]",
            "attention_transfer compares body.4.2 [4, 4, 4] with the teacher's body.4.2 [8, 4, 4]",
        ]
        return
    with pytest.raises(UserError, match=sentence):
        rehearse(plan(setting))


def test_what_is_no_pair_is_a_mistake_of_the_recipe() -> None:
    with pytest.raises(UserError, match=r"objective\.0\.hint\.layers"):
        parse_recipe(RECIPE, ["objective=[hint: {layers: [body.1]}]"])
    with pytest.raises(UserError, match=r"objective\.0\.hint\.layers"):
        parse_recipe(RECIPE, ["objective=[hint: {layers: body.1:body.2}]"])


def test_preflight_takes_its_trial_steps_with_features(call: Any, workplace: Path) -> None:
    (workplace / "hints.yaml").write_text(RECIPE)
    done = call("check", "hints.yaml")
    assert done.code == 0, done.err + done.out
    said = " ".join(done.out.split())
    assert "trial steps of stage student" in said
    assert "In stage student hint compares body.4.2 [4, 4, 4] with the teacher's body.4.2 [8, 4, 4]." in said
