"""Classes of the user's own: nothing is imported without trust, and what does not fit gets a sentence."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import limbeck
from limbeck.errors import LimbeckError, ModelError, ObjectiveError, RecipeError, UserError
from limbeck.recipe.load import dump_recipe, parse_recipe
from limbeck.recipe.model import Recipe, own_classes
from limbeck.run.plan import plan_from_recipe

MODULE = """
from pathlib import Path
import torch
from torch import nn
from limbeck.objectives.base import Term, promote

Path("imported").touch()

class Net(nn.Module):
    def __init__(self, width, classes, *, depth=1):
        super().__init__()
        inner = [layer for _ in range(depth - 1) for layer in (nn.Linear(width, width), nn.ReLU())]
        self.body = nn.Sequential(nn.Flatten(), nn.LazyLinear(width), nn.ReLU(), *inner, nn.Linear(width, classes))
        with torch.no_grad():
            self.body(torch.zeros(1, 1, 8, 8))

    def forward(self, pictures):
        return self.body(pictures)

class Confident(Term):
    def __init__(self, power=2.0):
        super().__init__()
        self.power = power

    def forward(self, student, teacher, batch):
        return -promote(student.logits).softmax(1).pow(self.power).sum(1).mean()

class Forgetful(Confident):
    def __init__(self, strength=1.0):
        super().__init__(strength)

class Broken(nn.Module):
    def __init__(self):
        raise RuntimeError("no such file")

def make_net(classes):
    return Net(4, classes)

word = "no class"
"""
RECIPE = """
name: mine
seeds: 1
data: {source: digits}
teacher: {model: {mlp: {hidden: [16]}}, train: {epochs: 1}}
student: {model: MODEL, train: {steps: 8}}
objective: [soft_labels, cross_entropy: {weight: 0.1}]
controls: [labels]
"""


@pytest.fixture
def module(workplace: Path) -> Iterator[Path]:
    """A module of the user's own in the current folder; `imported` beside it appears when it is run."""
    (workplace / "mine.py").write_text(MODULE)
    sys.modules.pop("mine", None)
    yield workplace
    sys.modules.pop("mine", None)


def recipe(model: str, objective: str | None = None) -> Recipe:
    text = RECIPE.replace("MODEL", model)
    return parse_recipe(text.replace("[soft_labels, cross_entropy: {weight: 0.1}]", objective or "[cross_entropy]"))


def test_nothing_is_imported_without_trust(module: Path, call: Any) -> None:
    (module / "own.yaml").write_text(RECIPE.replace("MODEL", '{"mine:Net": {width: 4}}'))
    for command in ("run", "check"):
        code, _, err = call(command, "own.yaml")
        assert code == 2
        assert "mine:Net" in err
        assert "--trust" in err
    with pytest.raises(UserError, match="trust=True"):
        limbeck.run_recipe("own.yaml", progress=False)
    assert not (module / "imported").exists()
    assert not (module / "runs").exists()


def test_a_net_and_a_term_of_ones_own_are_run_exported_and_loaded(module: Path, call: Any) -> None:
    text = RECIPE.replace("MODEL", '{"mine:Net": {width: 4, depth: 2}}').replace(
        "[soft_labels,", '[soft_labels, "mine:Confident": {power: 3, weight: 0.01},'
    )
    (module / "own.yaml").write_text(text)
    code, _, err = call("run", "own.yaml", "--trust", "--out", "run")
    assert code == 0, err
    report = limbeck.load("run").report
    assert report["models"]["student"]["architecture"] == "mine:Net(width=4, depth=2)"
    assert "0.01 confident(power=3)" in report["stages"][0]["objective"]
    assert call("export", "run").code == 2
    assert call("export", "run", "--trust").code == 0
    assert call("run", "run/recipe.yaml", "--trust", "--resume", "--out", "run").code == 0
    assert call("evaluate", "run").code == 2
    (net,) = [sys.modules["mine"].Net(4, 10, depth=2)]
    assert limbeck.load("run", student=net).student.classes == 10


def test_a_factory_function_does_as_well(module: Path) -> None:
    plan = plan_from_recipe(recipe('"mine:make_net"'), trust=True)
    assert plan.model(plan.student, 0).net.body[1].out_features == 4
    assert plan.student.architecture is None  # so that no fit of it is taken from the cache


def test_own_terms_keep_a_fit_out_of_the_cache(module: Path) -> None:
    plan = plan_from_recipe(recipe("mlp", '[cross_entropy, "mine:Confident"]'), trust=True)
    assert plan.stages[0].objective.has_own_terms
    assert not plan_from_recipe(recipe("mlp")).stages[0].objective.has_own_terms


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ('"mine:Nett"', 'has no Nett. Did you mean "Net"?'),
        ('"mine:word"', "is no class"),
        ('"mine:Net"', "missing a required argument: 'width'; its own ones are width, depth."),
        ('{"mine:Net": {width: 4, wide: 1}}', "got an unexpected keyword argument 'wide'"),
        ('"mine:Broken"', "cannot be made: RuntimeError: no such file."),
        ('"nowhere.at_all:Net"', "there is no module 'nowhere'"),
    ],
)
def test_a_class_that_does_not_fit_gets_a_sentence(module: Path, model: str, said: str) -> None:
    plan = plan_from_recipe(recipe(model), trust=True)
    with pytest.raises(ModelError) as error:
        plan.model(plan.student, 0)
    assert said in str(error.value)


def test_a_module_that_fails_says_why(module: Path) -> None:
    (module / "mine.py").write_text("import json\njson.loads('{')\n")
    plan = plan_from_recipe(recipe('"mine:Net"'), trust=True)
    with pytest.raises(ModelError, match="mine:Net cannot be imported: JSONDecodeError"):
        plan.student.build()


def test_a_term_must_be_one_and_keep_its_arguments(module: Path) -> None:
    with pytest.raises(ModelError, match="made Net; expected limbeck.objectives.base.Term"):
        plan_from_recipe(recipe("mlp", '["mine:Net": {width: 3, classes: 2}]'), trust=True)
    with pytest.raises(ObjectiveError, match="does not keep its argument strength"):
        plan_from_recipe(recipe("mlp", '["mine:Forgetful": {strength: 3}]'), trust=True)


def test_the_resolved_recipe_says_the_same(module: Path) -> None:
    first = recipe('{"mine:Net": {width: 4}}', '["mine:Confident": {power: 3, weight: 0.5}, cross_entropy]')
    again = parse_recipe(dump_recipe(first))
    assert again == first
    assert own_classes(again) == ["mine:Net", "mine:Confident"]
    assert first.objective is not None
    assert first.objective[0].options == {"power": 3, "weight": 0.5, "task": None}


@pytest.mark.parametrize(
    "model", ['{own: {path: "os:system"}}', '"a b:C"', '"mine:"', '{"mine:Net": [1]}', '{"mine:Net": {}, mlp: {}}']
)
def test_what_is_no_class_of_ones_own_is_a_mistake(model: str) -> None:
    with pytest.raises(RecipeError):
        recipe(model)


def test_a_sweep_cannot_smuggle_code_in(module: Path) -> None:
    text = RECIPE.replace("MODEL", "mlp") + 'sweep: {student.model: [mlp, "mine:make_net"]}\n'
    with pytest.raises(LimbeckError, match="--trust"):
        plan_from_recipe(parse_recipe(text))
    assert not (module / "imported").exists()


def test_the_schema_allows_own_classes() -> None:
    schema = Recipe.model_json_schema()
    content = {"student": {"model": {"mine:Net": {"width": 4}}}, "objective": ["mine:Term", "cross_entropy"]}
    jsonschema.validate(content, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**content, "student": {"model": {"own": {"path": "a:B"}}}}, schema)


def test_a_swept_net_of_ones_own_is_exported_again_as_the_chosen_variant(module: Path, call: Any) -> None:
    text = RECIPE.replace("MODEL", '"mine:Net"').replace("steps: 8", "steps: 60, lr: 0.01")
    (module / "own.yaml").write_text(text + 'sweep: {"student.model.mine:Net.width": [1, 32]}\n')
    assert call("run", "own.yaml", "--trust", "--out", "run").code == 0
    assert limbeck.load("run", student=sys.modules["mine"].Net(32, 10)).report["sweep"]["chosen"] == "02"

    code, _, err = call("export", "run", "--trust")

    assert code == 0, err
