"""What a recipe may say for each kind of labels."""

from __future__ import annotations

import pytest

from limbeck.errors import RecipeError
from limbeck.recipe.load import dump_recipe, parse_recipe

REGRESSION = """\
data: {source: diabetes, task: regression}
student: {model: mlp}
objective: [squared_error]
"""
MULTI_LABEL = """\
data: {source: "csv:t.csv", task: multi_label, label: [a, b]}
student: {model: mlp}
objective: [binary_cross_entropy]
"""


@pytest.mark.parametrize(("text", "margin"), [(REGRESSION, 0.05), (MULTI_LABEL, 0.01)])
def test_the_margin_is_that_of_the_task(text: str, margin: float) -> None:
    recipe = parse_recipe(text)
    assert recipe.margin == margin
    assert dump_recipe(parse_recipe(dump_recipe(recipe))) == dump_recipe(recipe)
    assert parse_recipe(f"margin: 0.2\n{text}").margin == 0.2
    assert parse_recipe("student: {model: mlp}\nobjective: [cross_entropy]").margin == 0.005


def test_labels_may_stand_in_several_columns() -> None:
    assert parse_recipe(MULTI_LABEL).data.label == ("a", "b")
    assert parse_recipe(MULTI_LABEL.replace("[a, b]", "[1, 2]")).data.label == ("1", "2")


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("objective=[cross_entropy, soft_labels]", "cross_entropy is for classification, but data.task is regression"),
        ("objective=[cross_entropy, soft_labels]", "soft_labels is for classification, but data.task is regression"),
        (
            "objective=[cross_entropy]",
            "soft_regression, squared_error",
        ),
        ("controls=[smoothing]", "the control smoothing is for classification"),
        ("controls=[labels, teacher_labels]", "expected labels, scratch, or leave controls out"),
        ("data.labels_per_class=5", "labels_per_class is for classification, where a sample has one class, got task"),
        ("data.classes=[a, b]", "classes is for classification"),
        ("data.source=digits", "task regression reads labels from csv:, npz: or diabetes, got the source 'digits'"),
        ("data.task=classification", "source diabetes has a number to predict; set task: regression"),
        ("data.task=ranking", "expected 'classification', 'regression' or 'multi_label', got 'ranking'"),
        ("export.int8=true", "export.int8 is judged by the classes it loses, got task 'regression'"),
        (
            "teacher={source: 'keras:t.keras'}",
            "a teacher for regression is trained here or comes from run:, file:, onnx:",
        ),
        ("data.target=npz:b.npz", "target is for classification"),
        ("sweep={'objective': [[squared_error], [cross_entropy]]}", "cross_entropy is for classification"),
    ],
)
def test_what_does_not_fit_the_task_is_refused_by_name(setting: str, told: str) -> None:
    with pytest.raises(RecipeError) as caught:
        parse_recipe(REGRESSION, [setting])
    assert told in str(caught.value)


def test_mixup_mixes_classes() -> None:
    with pytest.raises(RecipeError, match="mixup mixes classes, got task 'regression'"):
        parse_recipe(REGRESSION.replace("diabetes", '"npz:x.npz"'), ["data.augment=[mixup]"])
