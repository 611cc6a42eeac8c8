"""Students that were trained before: what they keep of it, and how they are moved."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from limbeck.errors import UserError
from limbeck.recipe.load import parse_recipe
from limbeck.run.pipeline import run
from limbeck.run.plan import Plan, plan_from_recipe

BASE = """\
name: moved
seeds: 1
data: {source: digits, classes: ["0", "1", "2"], labels_per_class: 20}
student: {model: {mlp: {hidden: [8]}}, source: SOURCE, train: {steps: 60, lr: 0.01}}
controls: [labels]
export: {onnx: false}
"""
PLAIN = "objective: [cross_entropy]\n"
KEEPING = "objective: [cross_entropy, learning_without_forgetting: {weight: 3}]\n"


@pytest.fixture(autouse=True)
def _no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMBECK_CACHE", "off")


@pytest.fixture
def source(tmp_path: Path) -> str:
    """A file of weights for five classes."""
    five = plan_from_recipe(parse_recipe(BASE.replace("SOURCE", "null").replace('"2"', '"2", "3", "4"') + PLAIN))
    torch.manual_seed(5)
    state = five.model(five.student, 7).net.state_dict()
    save_file(state, tmp_path / "five.safetensors")
    return f"file:{tmp_path}/five.safetensors"


def planned(source: str, objective: str, *overrides: str) -> Plan:
    return plan_from_recipe(parse_recipe(BASE.replace("SOURCE", source) + objective, overrides))


def way(folder: Path, source: str, objective: str) -> float:
    """How far the source's own answers moved in a run."""
    plan = planned(source, objective)
    run(plan, out=folder)
    old, now = load_file(source.removeprefix("file:")), load_file(folder / "student" / "model.safetensors")
    model = plan.model(plan.student, 0).eval()
    inputs = plan.data.pool.batch(plan.data.train).inputs
    answers = []
    for state in (old, now):
        model.net.load_state_dict({**model.net.state_dict(), **{k: v for k, v in state.items() if "head" not in k}})
        model.answer_as_source()
        answers.append(model(inputs).heads["source"].log_softmax(1).detach())
    return float((answers[0].exp() * (answers[0] - answers[1])).sum(1).mean())


def test_a_student_that_is_held_to_its_source_answers_for_it_still(tmp_path: Path, source: str) -> None:
    free, held = way(tmp_path / "free", source, PLAIN), way(tmp_path / "held", source, KEEPING)
    assert held < 0.2 * free
    control = json.loads((tmp_path / "held" / "controls" / "labels" / "seeds" / "0" / "fit.json").read_text())
    assert "learning_without_forgetting" in control["objective"], "the control is held too"


def test_who_starts_from_new_weights_has_nothing_to_forget(source: str) -> None:
    with pytest.raises(UserError, match=r"holds the student of stage student .* starts from new weights; give student"):
        planned("null", KEEPING)
    held = planned(source, KEEPING)
    assert held.controls == ("labels",)
