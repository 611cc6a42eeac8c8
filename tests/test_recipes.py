"""Every shipped recipe is valid, says what it asks, and can be prepared; a digits recipe runs."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from limbeck.recipe.load import load_recipe
from limbeck.run.pipeline import check, run
from limbeck.run.plan import plan_from_recipe
from limbeck.run.result import read_report

ROOT = Path(__file__).parent.parent
RECIPES = sorted((ROOT / "recipes").glob("*.yaml"))
DIGITS = [path for path in RECIPES if load_recipe(path).data.source == "digits"]
SHORT = ("student.train.steps=3", "teacher.train.steps=3", "seeds=2", "export.onnx=false")


def names(paths):
    return [path.stem for path in paths]


def benchmark_cases():
    spec = importlib.util.spec_from_file_location("benchmark_cases", ROOT / "benchmarks" / "cases.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up there
    spec.loader.exec_module(module)
    return module.CASES


CASES = benchmark_cases()


@pytest.mark.parametrize("path", RECIPES, ids=names(RECIPES))
def test_is_valid_and_named_like_its_file(path):
    assert load_recipe(path).name == path.stem


@pytest.mark.parametrize("path", RECIPES, ids=names(RECIPES))
def test_opens_with_the_question_it_answers(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    comment = lines[: next(number for number, line in enumerate(lines) if not line.startswith("#"))]
    assert "?" in "".join(comment)


@pytest.mark.parametrize("path", DIGITS, ids=names(DIGITS))
def test_digits_recipes_can_start(path):
    check(plan_from_recipe(load_recipe(path)))


def test_a_recipe_runs_to_its_verdict(tmp_path):
    recipe = load_recipe(ROOT / "recipes" / "s3-black-box-soft-targets.yaml", SHORT)
    report = read_report(run(plan_from_recipe(recipe), out=tmp_path / "run"))
    steps = {key: model["steps"] for key, model in report["models"].items() if key != "teacher"}
    assert set(steps) == {"student", "labels", "smoothing", "teacher_labels", "self_training"}
    assert set(steps.values()) == {3}
    assert report["verdict"]["over_teacher_labels"] is not None


def test_every_shipped_recipe_is_benchmarked():
    assert {case.recipe for case in CASES} == set(names(RECIPES))


@pytest.mark.parametrize("case", CASES, ids=[case.key for case in CASES])
def test_benchmark_settings_are_valid(case):
    settings = [setting.format(runs="runs") for setting in case.settings]
    load_recipe(ROOT / "recipes" / f"{case.recipe}.yaml", settings)
