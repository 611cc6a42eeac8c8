from __future__ import annotations

import math
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.errors import RecipeError
from limbeck.recipe.load import dump_recipe, parse_recipe
from limbeck.recipe.sweep import short_names, title_of, variants_of

BASE: dict[str, Any] = {
    "teacher": {"model": "mlp"},
    "student": {"model": {"mlp": {"hidden": [8]}}},
    "objective": [{"soft_labels": {"temperature": 4}}, "cross_entropy"],
}
TEMPERATURE, WEIGHT = "objective.soft_labels.temperature", "objective.cross_entropy.weight"


def recipe(sweep: object, **more: Any) -> Any:
    return parse_recipe(yaml.safe_dump({**BASE, **more, "sweep": sweep}, sort_keys=False))


def test_a_recipe_without_a_sweep_has_no_variants() -> None:
    assert variants_of(parse_recipe(yaml.safe_dump(BASE))) == ()


def test_every_combination_is_a_variant_and_the_last_key_varies_fastest() -> None:
    found = variants_of(recipe({TEMPERATURE: [1, 2], WEIGHT: [0.1, 0.5, 0.9]}))
    assert [one.name for one in found] == ["01", "02", "03", "04", "05", "06"]
    assert [tuple(one.settings.values()) for one in found][:4] == [(1, 0.1), (1, 0.5), (1, 0.9), (2, 0.1)]
    for one in found:
        soft, hard = one.recipe.objective
        assert (soft.options["temperature"], hard.options["weight"]) == tuple(one.settings.values())
        assert one.recipe.sweep is None


@settings(max_examples=40)
@given(st.lists(st.lists(st.integers(1, 50), min_size=1, max_size=4, unique=True), min_size=1, max_size=3))
def test_there_are_as_many_different_variants_as_the_grid_has_points(values: list[list[int]]) -> None:
    keys = [TEMPERATURE, WEIGHT, "student.train.epochs"][: len(values)]
    found = variants_of(recipe(dict(zip(keys, values, strict=True))))
    assert len(found) == math.prod(map(len, values))
    assert len({dump_recipe(one.recipe) for one in found}) == len(found)


def test_models_and_stages_can_be_swept() -> None:
    widths = variants_of(recipe({"student.model.mlp.hidden": [[4], [8, 8]]}))
    assert [list(one.recipe.student.model.options["hidden"]) for one in widths] == [[4], [8, 8]]
    stages = [{"name": "one", "objective": ["soft_labels"]}, {"name": "two", "objective": ["cross_entropy"]}]
    content = {**BASE, "stages": stages, "sweep": {"stages.one.objective.soft_labels.temperature": [1, 2]}}
    del content["objective"]
    found = variants_of(parse_recipe(yaml.safe_dump(content)))
    assert [one.recipe.stages[0].objective[0].options["temperature"] for one in found] == [1, 2]  # type: ignore[index]


STAGES = {
    "one": [{"name": "only", "objective": ["cross_entropy"]}],
    "two": [{"name": "first", "objective": ["soft_labels"]}, {"name": "then", "objective": ["cross_entropy"]}],
}


def test_values_may_have_names_and_stages_be_swept_as_a_whole() -> None:
    content = {key: value for key, value in BASE.items() if key != "objective"} | {"sweep": {"stages": STAGES}}
    made = parse_recipe(yaml.safe_dump(content, sort_keys=False))
    found = variants_of(made)
    assert [one.settings for one in found] == [{"stages": "one"}, {"stages": "two"}]
    assert [[stage.name for stage in one.recipe.stages or ()] for one in found] == [["only"], ["first", "then"]]
    assert title_of(found[1].settings) == "stages=two"
    assert dump_recipe(parse_recipe(dump_recipe(made))) == dump_recipe(made) and made.resolved_stages() == ()
    mixed = {"objective": {"hard": ["cross_entropy"], "soft": ["soft_labels"]}, "student.train.epochs": [1, 2]}
    assert [tuple(one.settings.values()) for one in variants_of(recipe(mixed))] == [
        ("hard", 1), ("hard", 2), ("soft", 1), ("soft", 2)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("sweep", "sentence"),
    [
        ({"stages": {"a": [{"name": "x"}], "b": []}}, "sweep: stages=a: "),
        ({"stages": {"a": STAGES["one"], "b": STAGES["one"]}}, "sweep.stages: a value is given twice"),
        ({"student.train.lr": [0.1]}, "expected either objective"),
    ],
)
def test_mistakes_among_named_values_get_a_sentence(sweep: object, sentence: str) -> None:
    content = {key: value for key, value in BASE.items() if key != "objective"} | {"sweep": sweep}
    with pytest.raises(RecipeError, match=sentence):
        parse_recipe(yaml.safe_dump(content, sort_keys=False))


def test_the_resolved_recipe_has_the_same_variants() -> None:
    first = recipe({TEMPERATURE: [1, 2], "student.train.lr": [0.1]})
    again = parse_recipe(dump_recipe(first))
    assert [one.settings for one in variants_of(again)] == [one.settings for one in variants_of(first)]


@pytest.mark.parametrize(
    ("sweep", "said"),
    [
        ({"objective.hint.weight": [1]}, "objective has no 'hint'; there is soft_labels, cross_entropy."),
        ({TEMPERATURE: [0, 1]}, "temperature=0: objective.0.soft_labels.temperature: expected more than 0, got 0."),
        ({"student.train.lrr": [1]}, 'Did you mean "lr"'),
        ({"teacher.train.epochs": [1, 2]}, "data, teacher and controls are shared by all variants"),
        ({"seeds": [1, 2]}, "expects keys below objective, stages, student"),
        ({TEMPERATURE: [1, 1]}, "a value is given twice"),
        ({TEMPERATURE: []}, "expected a list of 1 or more"),
        ({TEMPERATURE: 3}, "expected a list, or a section of keys, got 3"),
        ({}, "sweep"),
        ({TEMPERATURE: list(range(1, 21)), WEIGHT: list(range(1, 21))}, "sweep has 400 variants; expected 256 at most"),
    ],
)
def test_a_mistake_gets_a_sentence(sweep: object, said: str) -> None:
    with pytest.raises(RecipeError) as error:
        recipe(sweep)
    assert said in str(error.value)


def test_all_mistakes_come_at_once_and_each_once() -> None:
    with pytest.raises(RecipeError) as error:
        recipe({TEMPERATURE: [0, 2], WEIGHT: [1, 2], "student.train.lr": [-1]})
    assert len(error.value.mistakes) == 2


def test_names_are_cut_to_what_tells_them_apart() -> None:
    assert title_of({TEMPERATURE: 4, WEIGHT: 0.9}) == "temperature=4, weight=0.9"
    soft = "objective.soft_labels.weight"
    assert short_names([soft, WEIGHT]) == {soft: "soft_labels.weight", WEIGHT: "cross_entropy.weight"}


def test_a_sweep_can_be_set_from_the_command_line() -> None:
    found = parse_recipe(yaml.safe_dump(BASE), [f"sweep.{TEMPERATURE}=[1, 2]"])
    assert found.sweep == {TEMPERATURE: (1, 2)}
