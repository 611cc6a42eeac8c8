from __future__ import annotations

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.errors import RecipeError
from limbeck.recipe.load import dump_recipe, load_recipe, parse_recipe

PLAIN = """\
name: plain
student: {model: mlp}
teacher: {model: cnn}
objective: [soft_labels: {temperature: 2}, cross_entropy]
data:
  augment: [flip, shift: {pixels: 2}]
"""
STAGED = """\
student: {model: mlp, train: {epochs: 7}}
teacher: {model: cnn}
stages:
  - {name: soft, objective: [soft_labels]}
  - {name: hard, from: scratch, objective: [teacher_labels], train: &gentle {lr: 0.5}}
  - {name: tuned, objective: [cross_entropy], train: *gentle}
"""


def mistakes(text: str, *overrides: str) -> list[str]:
    with pytest.raises(RecipeError) as caught:
        parse_recipe(text, overrides)
    return caught.value.mistakes


@pytest.mark.parametrize("text", [PLAIN, STAGED])
def test_dumped_recipe_is_equal(text):
    recipe = parse_recipe(text)

    assert parse_recipe(dump_recipe(recipe)).model_dump(mode="json") == recipe.model_dump(mode="json")


def test_dump_fills_in_every_default():
    dumped = yaml.safe_load(dump_recipe(parse_recipe(PLAIN)))

    assert dumped["seeds"] == 5
    assert dumped["student"]["model"]["mlp"]["hidden"] == [64]
    assert dumped["student"]["train"]["schedule"] == "one_cycle"
    assert dumped["data"]["augment"] == [{"flip": {"probability": 0.5}}, {"shift": {"pixels": 2}}]
    assert dumped["objective"][0]["soft_labels"].items() >= {"temperature": 2.0, "weight": 1.0}.items()


TRAIN = st.fixed_dictionaries(
    {},
    optional={
        "epochs": st.integers(1, 10**6),
        "steps": st.none() | st.integers(1, 10**6),
        "lr": st.floats(1e-12, 1e3),
        "optimizer": st.sampled_from(["adamw", "adam", "sgd"]),
        "patience": st.none() | st.integers(1, 99),
    },
)
MODEL = st.sampled_from(["linear", "mlp", "cnn", "lenet5", "lenet5_half"]) | st.fixed_dictionaries(
    {"mlp": st.fixed_dictionaries({"hidden": st.lists(st.integers(1, 999), max_size=3)})}
)
DATA = st.fixed_dictionaries(
    {},
    optional={
        "source": st.text(max_size=20),
        "size": st.none() | st.integers(1, 99) | st.tuples(st.integers(1, 99), st.integers(1, 99)).map(list),
        "validation": st.floats(0.01, 0.99),
        "views": st.just("fresh") | st.integers(1, 9),
        "classes": st.none() | st.lists(st.text(max_size=5), max_size=3),
        "augment": st.lists(st.sampled_from(["flip", {"shift": {"pixels": 3}}]), max_size=3),
    },
)


@settings(max_examples=40)
@given(train=TRAIN, model=MODEL, data=DATA, seeds=st.integers(1, 100), margin=st.floats(0, 0.99))
def test_any_recipe_survives_its_dump(train, model, data, seeds, margin):
    content = {
        "student": {"model": model, "train": train},
        "objective": ["cross_entropy"],
        "data": data,
        "seeds": seeds,
        "margin": margin,
    }
    recipe = parse_recipe(yaml.safe_dump(content))

    assert parse_recipe(dump_recipe(recipe)).model_dump(mode="json") == recipe.model_dump(mode="json")
    assert recipe.seeds == seeds
    assert recipe.margin == margin


def test_all_mistakes_at_once_with_their_lines():
    text = PLAIN.replace("name: plain", "nam: plain").replace("pixels: 2", "pixel: 2") + "  views: 0\nseed: -1\n"

    assert sorted(mistakes(text)) == [
        'data.augment.1.shift.pixel (line 6): unknown key. Did you mean "pixels"?',
        "data.views (line 7): expected 1 or more, or 'fresh', got 0.",
        'nam (line 1): unknown key. Did you mean "name"?',
        "seed (line 8): expected 0 or more, got -1.",
    ]


def test_error_names_its_source_and_counts():
    with pytest.raises(RecipeError) as caught:
        parse_recipe(PLAIN + "seeds: several\nmargin: 1\n", source="a.yaml")

    assert str(caught.value) == (
        "a.yaml: 2 mistakes\n"
        "  seeds (line 7): expected a whole number, got 'several'.\n"
        "  margin (line 8): expected less than 1, got 1."
    )


def test_key_given_twice_names_both_lines():
    assert mistakes(PLAIN + "student: {model: cnn}\n") == ["student (line 7): given twice; first on line 2."]
    assert mistakes(
        "student: {model: mlp}\nobjective:\n- soft_labels: {weight: 1, weight: 2}\nteacher: {model: mlp}"
    ) == ["objective.0.soft_labels.weight (line 3): given twice; first on line 3."]


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (BOMB, "it has more than 10,000 values, aliases (*name) followed."),
        ("a: &a [*a]", "it has more than 10,000 values, aliases (*name) followed."),
        ("x: " + "[" * 500, "it is nested too deeply to be a recipe."),
        ("x: !!python/object/apply:os.system [ls]", "line 1: this is not YAML: could not determine a constructor"),
        ("x: !!python/name:os.system", "line 1: this is not YAML: could not determine a constructor"),
        ("x: 2024-13-01", "one of its values cannot be read: month must be in 1..12; put it in quotes."),
        ("x: \x00", "this is not YAML: unacceptable character"),
        ("a: 1\n---\nb: 2", "this is not YAML: but found another document"),
        ("[1, 2]", "expected keys such as data:, teacher:, student: and objective:; found none."),
        ("", "expected keys such as data:, teacher:, student: and objective:; found none."),
    ],
)
def test_text_that_is_no_recipe(text, says):
    (mistake,) = mistakes(text)

    assert says in mistake


def test_aliases_are_allowed():
    stages = parse_recipe(STAGED).resolved_stages()

    assert stages[1].train == stages[2].train


def test_set_changes_one_place_of_an_alias():
    stages = parse_recipe(STAGED, ["stages.tuned.train.lr=0.25"]).resolved_stages()

    assert [stage.train.lr for stage in stages] == [0.003, 0.5, 0.25]


def test_set_values():
    recipe = parse_recipe(
        PLAIN,
        [
            "seeds=3",
            "student.train.lr=1e-3",
            "student.model.mlp.hidden=[8, 9]",  # into a bare name
            "objective.cross_entropy.weight=0.5",  # into a bare name in a list
            "objective.soft_labels.temperature=9",
            "data.augment.shift.pixels=1",
            "data.labels_per_class=4",  # a key that is not there
            "export.onnx=false",  # a section that is not there
            "data.source=folder:a=b",
        ],
    )

    assert (recipe.seeds, recipe.student.train.lr) == (3, 0.001)
    assert recipe.student.model.options["hidden"] == [8, 9]
    assert [term.options["weight"] for term in recipe.objective] == [1.0, 0.5]
    assert recipe.objective[0].options["temperature"] == 9
    assert recipe.data.augment[1].options["pixels"] == 1
    assert (recipe.data.labels_per_class, recipe.export.onnx, recipe.data.source) == (4, False, "folder:a=b")


def test_set_of_a_stage_by_name():
    recipe = parse_recipe(STAGED, ["stages.soft.objective.soft_labels.temperature=2", "stages.soft.train.steps=5"])

    assert recipe.stages[0].objective[0].options["temperature"] == 2
    assert recipe.stages[0].train.steps == 5


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("seeds", "--set seeds: expected key.key=value, such as student.train.lr=0.001."),
        ("=1", "--set =1: expected key.key=value, such as student.train.lr=0.001."),
        ("a..b=1", "--set a..b=1: expected key.key=value, such as student.train.lr=0.001."),
        ("seeds=[", "--set seeds=[: the value is not YAML."),
        ("seed=2024-13-01", "--set seed=2024-13-01: the value is not YAML."),
        (
            "objective.kl.weight=1",
            "--set objective.kl.weight=1: objective has no 'kl'; there is soft_labels, cross_entropy.",
        ),
        (
            "objective.soft_labels.temperature.x=1",
            "--set objective.soft_labels.temperature.x=1: objective.soft_labels.temperature is a value, not a section.",
        ),
        ("student.trian.lr=1", 'student.trian (line 2): unknown key. Did you mean "train"?'),
    ],
)
def test_set_that_cannot_be_done(override, says):
    assert mistakes(PLAIN, override) == [says]


def test_set_of_a_whole_stage_asks_for_a_key():
    assert mistakes(STAGED, "stages.soft=3") == [
        "--set stages.soft=3: expected a key of stages.soft too, such as stages.soft.train."
    ]


def test_load_names_the_file(tmp_path):
    (tmp_path / "recipe.yaml").write_text(PLAIN)
    assert load_recipe(tmp_path / "recipe.yaml").name == "plain"

    with pytest.raises(RecipeError, match='recipe.yml: 1 mistake\n  there is no such file. Did you mean "recipe.yaml"'):
        load_recipe(tmp_path / "recipe.yml")
    with pytest.raises(RecipeError, match="is a folder; expected a YAML file"):
        load_recipe(tmp_path)
