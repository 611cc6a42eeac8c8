"""Every recipe that ships: all parse, those on built-in data run, those on MNIST are planned where it is."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from limbeck.api import run_recipe
from limbeck.recipe.load import dump_recipe, load_recipe, parse_recipe
from limbeck.recipe.shipped import shipped
from limbeck.recipe.sweep import variants_of
from limbeck.run.plan import plan_from_recipe
from limbeck.run.rehearsal import rehearse

RECIPES = sorted((Path(__file__).parent.parent / "recipes").glob("*.yaml"))
BUILT_IN = [path for path in RECIPES if load_recipe(path).data.source in ("digits", "diabetes")]
STARTED = [path for path in RECIPES if (load_recipe(path).student.source or "").startswith("run:")]
QUICK = ["seeds=1", "student.train.steps=3", "export={onnx: false}", "controls=[]"]
TINY = ["seeds=1", "teacher.train.steps=5", "export={onnx: false}", "controls=[labels]"]
LETTERS = ("s4-letters", "s4-orders")
AFTER = {"s4-new-class": "s4-first-digits"}  # those that go on from the run of another one
VIRTUAL = ["teacher.train.steps=60", "data.generated.pool=250", "data.generated.rounds=4"]
GROWN = {"trees-digits": None}  # in one step, so student.train has no steps to shorten


def test_there_are_recipes():
    assert {"demo.yaml", "digits-all-labels.yaml"} <= {path.name for path in BUILT_IN}
    assert len(RECIPES) > len(BUILT_IN)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipe_parses_and_is_named_as_its_file(path):
    recipe = load_recipe(path)

    assert recipe.name == path.stem
    assert dump_recipe(parse_recipe(dump_recipe(recipe))) == dump_recipe(recipe)
    assert shipped(path.name).read_text() == path.read_text()


@pytest.mark.usefixtures("quick_page")
@pytest.mark.parametrize("path", BUILT_IN, ids=lambda path: path.stem)
def test_recipe_runs(path, tmp_path):
    settings = TINY if path.stem in GROWN else [*TINY, "student.train.steps=5"]
    settings = [*settings, *VIRTUAL] if load_recipe(path).data.generated else settings
    folder = run_recipe(path, settings, out=tmp_path / "run", progress=False).folder

    report = json.loads((folder / "report.json").read_text())
    assert report["name"] == path.stem
    assert report["models"]["student"]["steps_per_seed"] == GROWN.get(path.stem, [5])


OTHERS = [path for path in RECIPES if path not in (*BUILT_IN, *STARTED) or path.stem in AFTER]


@pytest.mark.parametrize("path", OTHERS, ids=lambda path: path.stem)
def test_recipe_on_other_data_is_planned(path, tmp_path, monkeypatch):
    place = os.environ.get("LIMBECK_DATA")
    if not place or not (Path(place) / "mnist").is_dir():
        pytest.skip("LIMBECK_DATA does not name a folder with mnist/")
    if path.stem in AFTER:
        monkeypatch.chdir(tmp_path)
        before = path.with_stem(AFTER[path.stem])
        settings = ["student.train.steps=5", "export={onnx: false}"]
        run_recipe(before, settings, out=Path("runs") / before.stem, progress=False)
    rehearse(plan_from_recipe(load_recipe(path)))


@pytest.mark.parametrize("path", STARTED, ids=lambda path: path.stem)
def test_what_a_recipe_starts_from_is_the_run_of_another_one(path):
    recipe = load_recipe(path)
    variants = [one.recipe for one in variants_of(recipe)] or [recipe]
    learners = [
        recipe.student,
        *(stage.student for one in variants for stage in one.resolved_stages() if stage.student),
    ]
    for learner in learners:
        _, name, *part = learner.source.split("/")
        source = load_recipe(path.with_name(f"{name}.yaml"))
        trained = source.teacher if part == ["teacher"] else source.student
        assert learner.model == trained.model
        assert (source.data.source, source.data.classes) != (recipe.data.source, recipe.data.classes)


@pytest.mark.usefixtures("quick_page")
@pytest.mark.parametrize(
    "path", [path for path in STARTED if path.stem.startswith("s4-letters")], ids=lambda path: path.stem
)
def test_recipe_on_letters_runs_after_that_on_digits(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    digits = [*QUICK, "data={source: digits, size: 28}", "teacher.train.steps=3"]
    run_recipe(path.with_name("s4-letters-source.yaml"), digits, out=Path("runs/s4-letters-source"), progress=False)
    stages = load_recipe(path).stages or ()
    short = [f"stages.{stage.name}.train.steps=3" for stage in stages if stage.train is not None]
    folder = run_recipe(path, [*QUICK, *short], out=tmp_path / "run", progress=False).folder

    report = json.loads((folder / "report.json").read_text())
    assert report["name"] == path.stem
    assert [one["settings"]["stages"] for one in report["variants"]] == list(
        (load_recipe(path).sweep or {}).get("stages", ())
    )
