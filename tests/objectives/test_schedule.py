"""Weights that change: a pure function of the epoch, in the loss, in the controls, in the recipe."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import jsonschema
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from limbeck.errors import ObjectiveError, RecipeError
from limbeck.objectives import CrossEntropy, EntropyPenalty, SoftLabels
from limbeck.objectives.objective import Objective
from limbeck.objectives.schedule import SHAPES, Schedule, Shape, peak
from limbeck.recipe.load import dump_recipe, parse_recipe
from limbeck.recipe.model import Recipe
from limbeck.run.plan import plan_from_recipe
from limbeck.types import Batch, Knowledge, Outputs

STUDENT = Outputs(torch.randn(6, 4, generator=torch.Generator().manual_seed(0)))
TEACHER = Knowledge(logits=torch.randn(6, 4, generator=torch.Generator().manual_seed(1)))
BATCH = Batch(torch.zeros(6, 2), torch.tensor([0, 1, 2, 3, 0, -1]))
RECIPE = """
data: {source: digits}
teacher: {model: linear}
student: {model: linear}
objective: [soft_labels: {weight: WEIGHT}, cross_entropy]
"""
WRITTEN = "{from: 0, to: 1, over: 20, shape: cosine}"


@pytest.mark.parametrize("shape", SHAPES)
@given(st.floats(-5, 5), st.floats(-5, 5), st.floats(0.1, 50), st.lists(st.floats(0, 100), min_size=2))
def test_it_goes_from_start_to_end_without_turning_back(
    shape: Shape, start: float, end: float, over: float, epochs: list[float]
) -> None:
    schedule = Schedule(start, end, over, shape)
    assert schedule.at(0) == pytest.approx(start)
    assert schedule.at(over) == schedule.at(over + 7.5) == pytest.approx(end)
    way = [(schedule.at(epoch) - start) * math.copysign(1, end - start) for epoch in sorted(epochs)]
    assert all(later >= earlier - 1e-12 for earlier, later in itertools.pairwise(way))


def test_the_shapes_on_the_way() -> None:
    assert Schedule(1, 3, 20).at(5) == 1.5
    assert Schedule(0, 1, 20, "cosine").at(5) == pytest.approx((1 - math.sqrt(0.5)) / 2)
    assert [Schedule(2, 5, 20, "step").at(epoch) for epoch in (0, 19.99, 20, 21)] == [2, 2, 5, 5]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((0, 1, 0), "A schedule expects finite values and `over` above 0, got Schedule"),
        ((0, math.nan, 3), "A schedule expects finite values"),
        ((0, 1, 3, "cubic"), "A schedule's shape is linear, cosine, step, got 'cubic'."),
    ],
)
def test_what_is_no_schedule_is_refused(arguments: tuple[float, float, float], sentence: str) -> None:
    with pytest.raises(ObjectiveError) as caught:
        Schedule(*arguments)
    assert str(caught.value).startswith(sentence)


def test_the_loss_weighs_by_the_epoch_and_parts_stay_unweighted() -> None:
    objective = Objective([(Schedule(0, 2, 4), SoftLabels()), (1, CrossEntropy())])
    losses = []
    for epoch in (0.0, 1.0, 9.0):
        loss, parts = objective(STUDENT, TEACHER, BATCH, epoch=epoch)
        losses.append(loss - parts["cross_entropy"])
    soft = SoftLabels()(STUDENT, TEACHER, BATCH)
    for loss, weight in zip(losses, (0.0, 0.5, 2.0), strict=True):
        torch.testing.assert_close(loss, weight * soft, atol=1e-6, rtol=1e-5)


def test_who_does_not_say_the_epoch_is_told_how() -> None:
    objective = Objective([(Schedule(0, 1, 4), SoftLabels())])
    with pytest.raises(ObjectiveError, match=r"epoch=step / steps_per_epoch"):
        objective(STUDENT, TEACHER, BATCH)
    assert objective.at_peak()(STUDENT, TEACHER, BATCH)[0] > 0


def test_a_control_keeps_the_schedule_of_a_teacher_free_term_and_its_labels_at_weight_1() -> None:
    terms = [
        (Schedule(0, 3, 5), SoftLabels()),
        (Schedule(1, 0, 9), CrossEntropy()),
        (Schedule(0, 0.2, 5), EntropyPenalty()),
    ]
    objective = Objective(terms)
    assert objective.control().describe() == (
        "1 cross_entropy(label_smoothing=0.0) + (0 to 0.2 over 5 epochs, linear) entropy_penalty"
    )
    hard = objective.control(teacher_labels=True)
    assert hard.weights[0] == pytest.approx(1 / 3) and hard.names == (
        "cross_entropy",
        "entropy_penalty",
        "teacher_labels",
    )
    assert peak(Schedule(1, -4, 3)) == -4 and peak(0.5) == 0.5


def test_a_recipe_says_it_and_keeps_saying_it() -> None:
    recipe = parse_recipe(RECIPE.replace("WEIGHT", WRITTEN))
    assert "weight: {from: 0.0, to: 1.0, over: 20.0, shape: cosine}" in dump_recipe(recipe)
    assert parse_recipe(dump_recipe(recipe)) == recipe
    objective = plan_from_recipe(recipe).stages[0].objective
    assert objective.weights == (Schedule(0, 1, 20, "cosine"), 1.0)


def test_a_term_of_ones_own_may_have_one_too(workplace: Path) -> None:
    text = RECIPE.replace("soft_labels:", '"mine:Loss":').replace("WEIGHT", WRITTEN)
    recipe = parse_recipe(text)
    assert parse_recipe(dump_recipe(recipe)) == recipe
    assert "weight: {from: 0.0, to: 1.0" in dump_recipe(recipe)


def test_settings_on_the_command_line_and_in_a_sweep_reach_it() -> None:
    text, name = RECIPE.replace("WEIGHT", WRITTEN), "objective.soft_labels.weight"
    weights = [parse_recipe(text, [setting]).resolved_stages()[0].objective[0].options["weight"] for setting in (
        f"{name}=0.25", f"{name}.over=7", f"{name}={{from: 2, to: 0, over: 1}}"
    )]  # fmt: skip
    assert weights[0] == 0.25 and weights[1].over == 7 and (weights[2].start, weights[2].shape) == (2, "linear")
    sweep = f"sweep: {{{name}: [0.5, {WRITTEN}], {name}.over: [3]}}\n"
    with pytest.raises(RecipeError, match="weight is a value, not a section"):
        parse_recipe(text + sweep)
    assert parse_recipe(text + f"sweep: {{{name}: [0.5, {WRITTEN}]}}\n").sweep


@pytest.mark.parametrize(
    ("weight", "sentence"),
    [
        ("much", "weight (line 5): expected a number, or a section of keys, got 'much'."),
        ("{form: 0, to: 1, over: 3}", 'weight.form (line 5): unknown key. Did you mean "from"?'),
        ("{from: 0, to: 1}", "weight.over (line 5): missing, and it has no default."),
        ("{from: 0, to: 1, over: 0}", "weight.over (line 5): expected more than 0, got 0."),
        ("{from: 0, to: 1, over: 3, shape: cosin}", "got 'cosin'. Did you mean \"cosine\"?"),
        ("{from: 0, to: .inf, over: 3}", "weight.to (line 5): expected a finite number, got inf."),
    ],
)
def test_a_mistake_in_it_gets_a_sentence(weight: str, sentence: str) -> None:
    with pytest.raises(RecipeError) as caught:
        parse_recipe(RECIPE.replace("WEIGHT", weight))
    assert any(mistake.endswith(sentence) for mistake in caught.value.mistakes)


def test_the_schema_for_editors_knows_it() -> None:
    schema, term = Recipe.model_json_schema(), {"soft_labels": {"weight": {"from": 0, "to": 1, "over": 20}}}
    recipe = {"student": {"model": "linear"}, "objective": [term]}
    jsonschema.validate(recipe, schema)
    term["soft_labels"]["weight"] = {"from": 0}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(recipe, schema)
