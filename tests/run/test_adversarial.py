"""Runs whose objective makes inputs that fool the student, and their controls."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from limbeck.errors import ObjectiveError, RecipeError, UserError
from limbeck.models.weights import checksum
from limbeck.recipe.load import parse_recipe
from limbeck.run.knowledge import check_wishes
from limbeck.run.pipeline import run
from limbeck.run.plan import Plan, plan_from_recipe
from limbeck.run.rehearsal import rehearse
from limbeck.run.reload import load_model

RECIPE = """\
name: robust
seeds: 1
data: {source: digits}
teacher: {model: {cnn: {width: 4}}, train: {steps: 30, lr: 0.01}}
student: {model: {cnn: {width: 2}}, train: {steps: 12, lr: 0.01, batch_size: 32}}
objective: [robust_soft_labels: {epsilon: 0.1, step_size: 0.04, steps: 3}, cross_entropy: {weight: 0.1}]
export: {onnx: false}
"""
ADAPTIVE = "objective=[adaptive_adversarial_distillation: {epsilon: 0.1, step_size: 0.04, steps: 3}]"


def plan(*settings: str, text: str = RECIPE) -> Plan:
    return plan_from_recipe(parse_recipe(text, settings))


def report_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "report.json").read_text("utf-8"))
    return found


def test_the_controls_are_adversarial_training_and_trades_of_as_many_steps(tmp_path: Path) -> None:
    folder = run(plan(), out=tmp_path / "run")
    report = report_of(folder)
    assert set(report["models"]) == {
        "teacher", "student", "labels", "smoothing", "teacher_labels", "adversarial", "trades",
    }  # fmt: skip
    assert {report["models"][name]["steps"] for name in ("student", "labels", "adversarial", "trades")} == {12}
    said = {
        name: json.loads((folder / "controls" / name / "seeds" / "0" / "fit.json").read_text())["objective"]
        for name in ("labels", "adversarial", "trades")
    }
    budget = "epsilon=0.1, step_size=0.04, steps=3"
    assert said["labels"] == "1 cross_entropy(label_smoothing=0.0)"
    assert said["adversarial"] == f"1 adversarial_cross_entropy({budget})"
    assert said["trades"] == f"1 trades(beta=6.0, {budget})"
    again = run(plan(), out=tmp_path / "again")
    assert checksum(load_model(folder / "student").net) == checksum(load_model(again / "student").net)


def test_there_are_none_without_such_a_term_and_asking_for_them_is_noted() -> None:
    plain = plan("objective=[soft_labels]")
    assert not {"adversarial", "trades"} & set(plain.controls)
    asked = plan("objective=[soft_labels]", "controls=[labels, trades]")
    assert asked.controls == ("labels",)
    assert "The control trades was left out: no term makes inputs that fool the student." in asked.notes
    assert plan("controls=[adversarial]").controls == ("labels", "adversarial")


def test_a_teacher_whose_gradients_are_followed_is_heard_live(tmp_path: Path) -> None:
    for mode in ("memory", "stored"):
        with pytest.raises(UserError, match=f"mode {mode} keeps logits alone, but adaptive_.* follows its gradients"):
            check_wishes(plan(ADAPTIVE, f"knowledge.mode={mode}"))
    report = report_of(run(plan(ADAPTIVE, "controls=[labels]"), out=tmp_path / "run"))
    assert report["cost"]["teacher_forwards"] == 12 * 32 * (1 + 3 + 1)


def test_a_teacher_known_by_its_answers_serves_those_that_ask_about_samples_alone(tmp_path: Path) -> None:
    found, answers = plan(), tmp_path / "answers.csv"
    rows = [f"{one},0" for one in found.data.pool.ids]
    answers.write_text("id,label\n" + "\n".join(rows))
    text = RECIPE.replace("{model: {cnn: {width: 4}}, train: {steps: 30, lr: 0.01}}", f"{{source: 'labels:{answers}'}}")
    with pytest.raises(ObjectiveError, match=r"needs gradients and probs .*would work: .*adversarial_cross_entropy"):
        rehearse(plan(ADAPTIVE, text=text))


def test_rows_of_tables_have_no_pixels() -> None:
    text = RECIPE.replace("digits}", "diabetes, task: regression}")
    with pytest.raises((RecipeError, UserError)):
        plan(text=text)


def test_samples_that_are_no_pictures_are_refused(tmp_path: Path) -> None:
    import numpy as np

    drawn = np.random.default_rng(0)
    np.savez(tmp_path / "rows.npz", x_train=drawn.random((60, 5), dtype="f"), y_train=np.arange(60) % 3,
             x_test=drawn.random((30, 5), dtype="f"), y_test=np.arange(30) % 3)  # fmt: skip
    text = RECIPE.replace("digits}", f"'npz:{tmp_path / 'rows.npz'}'}}").replace("{cnn: {width: 4}}", "mlp")
    with pytest.raises(ObjectiveError, match=r"robust_soft_labels changes each pixel .* samples of shape \[5\]"):
        rehearse(plan(text=text.replace("{cnn: {width: 2}}", "mlp")))
