from __future__ import annotations

import inspect

import pytest
import torch
from pydantic_core import PydanticUndefined

import limbeck.models
import limbeck.objectives
from limbeck.errors import RecipeError
from limbeck.objectives.base import Term
from limbeck.recipe.choices import MODELS, TERMS, build_choice
from limbeck.recipe.load import parse_recipe
from limbeck.recipe.model import Recipe, own_classes
from limbeck.recipe.schema import section_of

SHAPE = (1, 28, 28)


def stages(*lines: str) -> Recipe:
    return parse_recipe(
        "student: {model: mlp}\nteacher: {model: mlp}\nstages:\n" + "\n".join(f"- {line}" for line in lines)
    )


def test_short_form_is_one_stage():
    recipe = parse_recipe("student: {model: mlp, train: {steps: 7}}\nobjective: [cross_entropy]")

    (stage,) = recipe.resolved_stages()
    assert (stage.name, stage.start, stage.train.steps) == ("student", "scratch", 7)


def test_stages_start_where_the_one_before_ended():
    recipe = stages(
        "{name: a, objective: [soft_labels]}",
        "{name: b, objective: [cross_entropy], train: {steps: 3}}",
        "{name: c, from: a, objective: [cross_entropy]}",
        "{name: d, from: scratch, objective: [cross_entropy]}",
    )

    assert [stage.start for stage in recipe.resolved_stages()] == ["scratch", "a", "a", "scratch"]
    assert [stage.train.steps for stage in recipe.resolved_stages()] == [None, 3, None, None]


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (["{name: a, from: b, objective: [cross_entropy]}", "{name: b, objective: [cross_entropy]}"],
         r"stages.0.from: expected an earlier stage \(there is none\) or scratch, got 'b'"),
        (["{name: a, objective: [cross_entropy]}", "{name: b, from: c, objective: [cross_entropy]}"],
         r"stages.1.from: expected an earlier stage \(a\) or scratch, got 'c'"),
        (["{name: a, objective: [cross_entropy]}", "{name: a, objective: [cross_entropy]}"],
         r"stages.1.name: 'a' is taken; give each stage a name of its own"),
        (["{name: scratch, objective: [cross_entropy]}"], r"stages.0.name: 'scratch' is taken"),
        (["{name: a, objective: []}"], r"stages.0.objective \(line 4\): expected a list of 1 or more"),
        (["{name: a, teacher: b, objective: [soft_labels]}", "{name: b, objective: [soft_labels]}"],
         r"stages.0.teacher: expected an earlier stage \(there is none\), got 'b'"),
        (["{name: a, objective: [soft_labels]}", "{name: b, teacher: b, objective: [soft_labels]}"],
         r"stages.1.teacher: expected an earlier stage \(a\), got 'b'"),
        (["{name: a, objective: [soft_labels]}", "{name: b, teacher: a, objective: [cross_entropy]}"],
         "stages.1.teacher: no term of stage b asks a teacher; leave it out"),
        (["{name: a, objective: [soft_labels], student: {model: linear}}"],
         "stages.0.student: the last stage trains the student that ships, the one under student; leave it out here"),
        (["{name: a, objective: [soft_labels], student: {model: linear}}", "{name: b, objective: [soft_labels]}"],
         "stages.1.from: stage a trains another model than stage b, so its weights do not fit; say from: scratch"),
        (["{name: a, objective: [soft_labels], student: {modle: linear}}", "{name: b, objective: [soft_labels]}"],
         'stages.0.student.modle .*: unknown key. Did you mean "model"?'),
    ],
)  # fmt: skip
def test_stage_rules(lines, says):
    with pytest.raises(RecipeError, match=says):
        stages(*lines)


def test_a_stage_of_an_assistants_own_may_go_on_from_it():
    recipe = stages(
        "{name: a, objective: [soft_labels], student: {model: linear}}",
        "{name: b, objective: [cross_entropy], student: {model: linear}}",
        "{name: c, from: scratch, teacher: b, objective: [soft_labels]}",
    )

    assert [stage.start for stage in recipe.resolved_stages()] == ["scratch", "a", "scratch"]


def test_a_stage_with_a_teacher_of_its_own_needs_no_teacher_section():
    lines = "{name: a, objective: [cross_entropy]}, {name: b, teacher: a, objective: [soft_labels]}"
    assert parse_recipe(f"student: {{model: mlp}}\nstages: [{lines}]").teacher is None
    with pytest.raises(RecipeError, match="soft_labels needs a teacher, but there is no teacher section"):
        parse_recipe(f"student: {{model: mlp}}\nstages: [{lines.replace('teacher: a, ', '')}]")


def test_an_assistant_of_ones_own_is_named_for_trust():
    recipe = stages(
        '{name: a, objective: [soft_labels], student: {model: "mine:Net"}}',
        "{name: b, from: scratch, objective: [soft_labels]}",
    )

    assert own_classes(recipe) == ["mine:Net"]


@pytest.mark.parametrize("extra", ["objective: [cross_entropy]\nstages: [{name: a, objective: [cross_entropy]}]", ""])
def test_either_objective_or_stages(extra):
    with pytest.raises(RecipeError, match="expected either objective .* or stages .*, exactly one of them"):
        parse_recipe("student: {model: mlp}\n" + extra)


@pytest.mark.parametrize("name", sorted(name for name, term in TERMS.items() if term.needs))
def test_term_that_needs_a_teacher(name):
    with pytest.raises(RecipeError, match=f"{name} needs a teacher, but there is no teacher section"):
        parse_recipe(f"{data_for(name)}student: {{model: mlp}}\nobjective: [{name}]")


def data_for(term):
    """Return the section of data whose labels a term is made for."""
    if "classification" in TERMS[term].tasks:
        return ""
    task = min(TERMS[term].tasks)
    return f'data: {{source: "npz:a.npz", task: {task}}}\n'


@pytest.mark.parametrize("name", limbeck.models.__all__)
def test_every_architecture_can_be_named_and_built(name):
    recipe = parse_recipe(f"student: {{model: {name.lower()}}}\nobjective: [cross_entropy]")

    model = MODELS[name.lower()](SHAPE, 10, **recipe.student.model.options)

    assert isinstance(model, getattr(limbeck.models, name))
    assert model(torch.zeros(2, *SHAPE)).shape == (2, 10)


@pytest.mark.parametrize("name", TERMS)
def test_every_term_can_be_named_and_built(name):
    models = "student: {model: mlp}\nteacher: {model: mlp}"
    recipe = parse_recipe(f"{data_for(name)}{models}\nobjective: [{name}: {{weight: 0.25}}]")

    (choice,) = recipe.objective
    assert choice.options["weight"] == 0.25
    assert isinstance(build_choice(choice, TERMS), Term)
    assert type(build_choice(choice, TERMS)).__name__ in limbeck.objectives.__all__


@pytest.mark.parametrize("constructor", [*MODELS.values(), *TERMS.values()], ids=lambda kind: kind.__name__)
def test_schema_follows_the_signature(constructor):
    signature = inspect.signature(constructor.__init__).parameters
    wanted = {
        name: PydanticUndefined if parameter.default is inspect.Parameter.empty else parameter.default
        for name, parameter in signature.items()
        if name not in ("self", "shape", "classes", "args", "kwargs")
    }

    fields = section_of(constructor).model_fields

    assert {name: field.default for name, field in fields.items()} == wanted


def test_classes_may_be_numbers():
    recipe = parse_recipe("student: {model: mlp}\nobjective: [cross_entropy]\ndata: {classes: [3, 8]}")

    assert recipe.data.classes == ("3", "8")
