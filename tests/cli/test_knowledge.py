"""The commands about kept answers, as a user meets them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

RECIPE = """\
name: known
seeds: 1
data: {source: digits}
teacher: {model: {mlp: {hidden: [16]}}, train: {steps: 5}}
student: {model: {mlp: {hidden: [8]}}, train: {steps: 5}}
objective: [soft_labels]
controls: []
export: {onnx: false}
"""
POOL = 1438


@pytest.fixture
def recipe(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LIMBECK_CACHE", str(workplace / "cache"))
    (workplace / "r.yaml").write_text(RECIPE)
    return workplace / "r.yaml"


def test_label_fills_a_store_that_a_run_then_reads(recipe: Path, call: Any, quick_page: None) -> None:
    done = call("label", recipe, "--json")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert (found["rows"], found["forwards"], found["spot_checks"]) == (POOL, POOL, 0)
    assert found["bytes"] <= (2 * 10 + 16) * POOL
    again = json.loads(call("label", recipe, "--json").out)
    assert (again["forwards"], again["spot_checks"]) == (0, 32)
    cost = json.loads(call("run", recipe, "--json").out)["cost"]
    assert (cost["teacher_forwards"], cost["teacher_spot_checks"]) == (0, 32)


def test_ctrl_c_leaves_a_store_that_goes_on(recipe: Path, call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*given: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("limbeck.cli.progress.Bars.answered", stop)
        done = call("label", recipe)
    assert done.code == 130
    assert "Stopped." in done.err
    assert json.loads(call("label", recipe, "--json").out)["forwards"] == POOL - 256


def test_stores_are_listed_checked_and_removed(recipe: Path, call: Any) -> None:
    folder = Path(call("label", recipe).out.strip())
    (listed,) = json.loads(call("knowledge", "ls", "--json").out)
    assert (listed["name"], listed["rows"], listed["teacher"]) == (folder.name, POOL, "mlp(hidden=[16])")
    assert folder.name in call("knowledge", "ls").out
    assert "sound" in call("knowledge", "verify").out
    compared = json.loads(call("knowledge", "verify", "--recipe", recipe, "--json").out)[str(folder)]
    assert (compared["missing"], compared["wrong"], compared["sound"]) == (0, 0, True)
    path = next(folder.glob("*.rows"))
    path.write_bytes(path.read_bytes()[:-1])
    done = call("knowledge", "verify", folder.name[:6])
    assert done.code == 1
    assert "NOT SOUND" in done.out
    assert call("knowledge", "rm", folder.name[:6], "--yes").code == 0
    assert not folder.exists()
    assert json.loads(call("knowledge", "ls", "--json").out) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("label", "r.yaml", "--set", "data.augment=[flip]"), "data.views: fresh has no end that could be labelled"),
        (("label", "r.yaml", "--set", "teacher=null", "--set", "objective=[cross_entropy]"), "nobody to ask"),
        (("knowledge", "rm"), "expects the names of stores, or --all"),
        (("knowledge", "rm", "abc"), "There is no knowledge store abc, as a folder or in"),
        (("knowledge", "verify", "abc", "--recipe", "r.yaml"), "names of stores or --recipe, not both"),
    ],
)
def test_mistakes_have_sentences(recipe: Path, call: Any, words: tuple[str, ...], said: str) -> None:
    done = call(*words)
    assert done.code == 2
    assert said in done.err.replace("\n", " ")


def test_without_a_cache(recipe: Path, call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMBECK_CACHE", "off")
    assert "give knowledge.path a folder for the answers" in call("label", recipe).err.replace("\n", " ")
    assert "name one by its folder" in call("knowledge", "ls").err.replace("\n", " ")
    done = call("label", recipe, "--set", "knowledge.path=mine", "--json")
    assert json.loads(done.out)["folder"] == "mine", done.err
