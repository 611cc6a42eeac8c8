"""A recipe with `balance: gradients` and a schedule, from the command to the page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import limbeck
from limbeck.errors import ObjectiveError, RecipeError
from limbeck.recipe.load import load_recipe, parse_recipe
from limbeck.run.plan import plan_from_recipe
from limbeck.run.rehearsal import rehearse

RECIPE = """\
name: shares
seeds: 2
data: {source: digits}
teacher: {model: {mlp: {hidden: [16]}}, train: {epochs: 3, lr: 0.01}}
student: {model: {mlp: {hidden: [8]}}, train: {epochs: 4, lr: 0.01}}
balance: gradients
objective:
  - logit_matching: {weight: {from: 0, to: 0.5, over: 2}}
  - cross_entropy: {weight: 0.5}
  - entropy_penalty: {weight: -0.1}
controls: [labels]
export: {onnx: false}
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("balance")
    (place / "shares.yaml").write_text(RECIPE)
    return limbeck.run_recipe(place / "shares.yaml", out=place / "run", progress=False).folder


@pytest.fixture(scope="module")
def report(finished: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((finished / "report.json").read_text())
    return found


def test_the_report_has_norms_cosines_and_weights_of_every_epoch(report: dict[str, Any]) -> None:
    for curve in report["curves"]["student"]:
        assert len(curve["gradients"]) == len(curve["epochs"]) == 4
        for measured, share in zip(curve["gradients"], (0.25, 0.5, 0.5, 0.5), strict=True):
            pulls = {name: measured["weights"][name] * norm for name, norm in measured["norms"].items()}
            assert pulls["logit_matching"] / pulls["cross_entropy"] == pytest.approx(share / 0.5, rel=1e-4)
            assert pulls["entropy_penalty"] / pulls["cross_entropy"] == pytest.approx(-0.2, rel=1e-4)
            assert len(measured["cosines"]) == 3
    assert all(one["gradients"] == [None] * 3 for one in report["curves"]["teacher"])


def test_the_control_is_balanced_by_the_same_rule(report: dict[str, Any]) -> None:
    key = report["stages"][0]["controls"]["labels"]
    last = report["curves"][key][0]["gradients"][-1]
    pulls = {name: last["weights"][name] * norm for name, norm in last["norms"].items()}
    assert pulls["entropy_penalty"] / pulls["cross_entropy"] == pytest.approx(-0.1, rel=1e-4)


def test_page_metrics_and_recipe_say_it(finished: Path) -> None:
    assert "Gradients of the terms" in (finished / "report.html").read_text()
    records = [json.loads(line) for line in (finished / "metrics.jsonl").read_text().splitlines()]
    assert any(record["gradients"] for record in records if record["model"] == "student")
    recipe = load_recipe(finished / "recipe.yaml")
    assert recipe.balance == "gradients" and recipe == parse_recipe(RECIPE)
    objective = plan_from_recipe(recipe).stages[0].objective
    assert objective.describe().startswith("(0 to 0.5 over 2 epochs, linear) logit_matching + 0.5 cross_entropy")


def test_compiled_steps_are_refused_before_the_teacher_is_trained() -> None:
    plan = plan_from_recipe(parse_recipe(RECIPE, ["student.train.compile=always"]))
    with pytest.raises(ObjectiveError, match="leave one of them out"):
        rehearse(plan)


def test_each_stage_has_its_own() -> None:
    stages = (
        "stages: [{name: one, objective: [cross_entropy], balance: gradients}, {name: two, objective: [soft_labels]}]"
    )
    text = RECIPE[: RECIPE.index("balance")] + stages
    found = [stage.balance for stage in parse_recipe(text).resolved_stages()]
    assert found == ["gradients", "none"]
    with pytest.raises(RecipeError, match="with stages, give it to each stage that has it"):
        parse_recipe(text + "\nbalance: gradients")
    with pytest.raises(RecipeError, match='Did you mean "gradients"'):
        parse_recipe(RECIPE, ["balance=gradient"])
