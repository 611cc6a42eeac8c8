"""Views from a recipe and from Python; transforms of the user's own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import limbeck
from limbeck.data.dataset import Data
from limbeck.data.per_sample import PerSample
from limbeck.data.views import Flip, Shift
from limbeck.errors import DataError, ModelError, UserError
from limbeck.recipe.load import parse_recipe
from limbeck.run.augment import views_of
from limbeck.run.plan import Plan, plan_from_recipe

MODULE = """
from pathlib import Path
import torch
import limbeck

Path("imported").touch()

def speckle(x, generator, strength=0.1):
    return (x + strength * torch.rand(x.shape, generator=generator)).clamp(0, 1)

class Speckle:
    def __init__(self, strength=0.1):
        self.strength = strength

    def __call__(self, x, generator):
        return speckle(x, generator, self.strength)

class Dim(limbeck.Transform):
    draws = 1

    def __init__(self, least=0.5):
        self.least = least

    def __call__(self, inputs, numbers):
        return inputs * (self.least + (1 - self.least) * numbers[:, :, None, None])

class Silent:
    pass

def broken(x, generator):
    raise RuntimeError("no such colour")

def shrinking(x, generator):
    return x[:, 1:]
"""
RECIPE = """
name: mine
seeds: 1
data: {source: digits, augment: AUGMENT, views: 3}
student: {model: {mlp: {hidden: [8]}}, train: {steps: 30}}
objective: [cross_entropy]
controls: [labels]
export: {onnx: false}
"""


@pytest.fixture
def module(workplace: Path) -> Iterator[Path]:
    (workplace / "mine.py").write_text(MODULE)
    sys.modules.pop("mine", None)
    yield workplace
    sys.modules.pop("mine", None)


def plan_of(augment: str, *, trust: bool = True) -> Plan:
    return plan_from_recipe(parse_recipe(RECIPE.replace("AUGMENT", augment)), trust=trust)


def jitter(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    return x + torch.randn(x.shape, generator=generator)


def test_views_from_python() -> None:
    data = Data.open("digits")
    views = views_of([Shift(2), Flip(), PerSample(jitter)], data, seed=0, count=4)
    assert views is not None
    assert [str(one) for one in views.transforms] == ["shift(pixels=2)", "flip(probability=0.5)", "persample(jitter)"]
    assert views.has_own_transforms
    assert views_of([], data, seed=0, count="fresh") is None


@pytest.mark.parametrize(
    ("named", "title"),
    [
        ('"mine:speckle"', "mine:speckle"),
        ('"mine:speckle": {strength: 0.3}', "mine:speckle(strength=0.3)"),
        ('"mine:Speckle": {strength: 0.2}', "mine:Speckle(strength=0.2)"),
        ('"mine:Dim": {least: 0.2}', "dim(least=0.2)"),
    ],
)
def test_functions_classes_and_whole_batches_of_ones_own(module: Path, named: str, title: str) -> None:
    plan = plan_of(f"[shift, {named}]")
    assert plan.views is not None
    assert str(plan.views.transforms[1]) == title
    assert plan.views.has_own_transforms
    rows = torch.arange(6)
    whole = plan.data.pool.batch(rows, view=rows, views=plan.views).inputs
    alone = [plan.data.pool.batch(rows[i : i + 1], view=rows[i : i + 1], views=plan.views).inputs for i in range(6)]
    assert torch.equal(torch.cat(alone), whole)
    assert not torch.equal(whole, plan.data.pool.batch(rows, view=rows, views=plan_of("[shift]").views).inputs)


def test_nothing_is_imported_without_trust(module: Path, call: Any) -> None:
    (module / "own.yaml").write_text(RECIPE.replace("AUGMENT", '["mine:speckle"]'))
    code, _, err = call("run", "own.yaml")
    assert code == 2
    assert "mine:speckle" in err
    with pytest.raises(UserError, match="--trust"):
        plan_of('["mine:Dim"]', trust=False)
    assert not (module / "imported").exists()


def test_a_run_with_own_transforms_is_not_taken_from_the_cache(
    module: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, quick_page: None
) -> None:
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / "cache"))
    for augment, times in (('["mine:speckle"]', 0), ("[shift, mixup]", 1)):
        (module / "own.yaml").write_text(RECIPE.replace("AUGMENT", augment))
        for place in ("first", "second"):
            out = tmp_path / f"{place}{times}"
            result = limbeck.run_recipe("own.yaml", out=out, trust=True, progress=False)
        assert result.report["cost"]["controls_from_cache"] == times
        assert result.report["data"]["augment"] == [str(one) for one in plan_of(augment).views.transforms]


@pytest.mark.parametrize(
    ("named", "error", "said"),
    [
        ('"mine:speckle": {strong: 1}', ModelError, "cannot be called as t\\(x, generator\\) with these options"),
        ('"mine:Silent"', ModelError, "a transform is called as t\\(x, generator\\), once a sample"),
        ('"mine:spekle"', ModelError, "has no spekle"),
    ],
)
def test_what_is_no_transform_gets_a_sentence(module: Path, named: str, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        plan_of(f"[{named}]")


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ('"mine:broken"', r"mine:broken, failed on a sample \[1, 8, 8\]: RuntimeError: no such colour"),
        ('"mine:shrinking"', r"mine:shrinking turned \[1, 8, 8\] into \[1, 7, 8\]"),
    ],
)
def test_what_goes_wrong_inside_gets_a_sentence(module: Path, call: Any, named: str, said: str) -> None:
    plan = plan_of(f"[{named}]")
    rows = torch.arange(2)
    with pytest.raises(DataError, match=said):
        plan.data.pool.batch(rows, view=rows + 1, views=plan.views)
    (module / "own.yaml").write_text(RECIPE.replace("AUGMENT", f"[{named}]"))
    assert call("run", "own.yaml", "--trust").code == 2
    assert not (module / "runs").exists()


def test_mixup_among_hidden_labels_is_refused() -> None:
    recipe = parse_recipe(RECIPE.replace("AUGMENT", "[mixup]").replace("views: 3", "labels_per_class: 10"))
    with pytest.raises(DataError, match=r"mixup and data\.labels_per_class do not go together"):
        plan_from_recipe(recipe)
