"""A sweep: what is shared is trained once, each variant is what it would be alone, validation chooses."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

import limbeck
from limbeck.errors import UserError
from limbeck.evaluate.intervals import holm
from limbeck.evaluate.verdict import judge
from limbeck.recipe.load import parse_recipe
from limbeck.run import jobs, pipeline
from limbeck.run.plan import plan_from_recipe

SWEPT = """
name: swept
seeds: 2
data: {source: digits, labels_per_class: 20}
teacher: {model: {mlp: {hidden: [16]}}, train: {epochs: 2, batch_size: 256, lr: 0.01}}
student: {model: {mlp: {hidden: [8]}}, train: {steps: 12, batch_size: 64, lr: 0.01}}
objective: [soft_labels: {weight: 0.9}, cross_entropy: {weight: 0.1}]
export: {onnx: %s}
"""
GRID = """
sweep:
  objective.soft_labels.temperature: [1, 2, 4, 8]
  objective.soft_labels.weight: [0.2, 0.5, 0.9]
"""


def run(text: str, folder: Path, **named: Any) -> dict[str, Any]:
    place = pipeline.run(plan_from_recipe(parse_recipe(text)), out=folder, **named)
    found: dict[str, Any] = json.loads((place / "report.json").read_text("utf-8"))
    return found


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], Counter[str]]:
    """A finished sweep of 12 points, its report, and how many fits of each name it took."""
    folder, fits = tmp_path_factory.mktemp("sweep") / "run", Counter[str]()
    real = jobs.Job._train

    def train(self: jobs.Job, *given: Any) -> None:
        fits[self.name] += 1
        real(self, *given)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(jobs.Job, "_train", train)
        report = run(SWEPT % "true" + GRID, folder)
    return folder, report, fits


def test_twelve_points_cost_one_teacher_and_one_set_of_controls(
    swept: tuple[Path, dict[str, Any], Counter[str]],
) -> None:
    _, report, fits = swept
    controls = dict.fromkeys(("labels", "smoothing", "teacher_labels", "self_training"), 2)
    assert fits == {"teacher": 1, "student": 24, **controls}
    assert len(report["variants"]) == 12
    samples = report["data"]["train"] + report["data"]["validation"]
    assert report["cost"]["teacher_forwards"] == samples  # asked once for each, whoever uses the answers


def test_validation_chooses_and_the_page_is_about_the_chosen_one(
    swept: tuple[Path, dict[str, Any], Counter[str]],
) -> None:
    folder, report, _ = swept
    best = max(report["variants"], key=lambda one: one["validation_accuracy"])
    (chosen,) = (one for one in report["variants"] if one["chosen"])
    assert chosen["name"] == best["name"] == report["sweep"]["chosen"]
    assert report["models"]["student"]["metrics"] == chosen["metrics"]
    assert chosen["verdict"] == report["verdict"]
    assert any("chosen among 12 by validation accuracy" in note for note in report["verdict"]["notes"])
    weights = (folder / "student" / "model.safetensors").read_bytes()
    own = (folder / chosen["folder"] / "student" / "seeds").glob("*/model.safetensors")
    assert weights in [path.read_bytes() for path in own]


def test_all_verdicts_are_corrected_together(swept: tuple[Path, dict[str, Any], Counter[str]]) -> None:
    _, report, _ = swept
    scores = {path.stem: pq.read_table(path) for path in (swept[0] / "predictions").glob("*.parquet")}
    assert len(scores) == 1 + 12 + 4
    raw = [_p_value(scores, one, report) for one in report["variants"]]
    np.testing.assert_allclose([one["verdict"]["p_value"] for one in report["variants"]], holm(raw))


def _p_value(scores: dict[str, Any], variant: dict[str, Any], report: dict[str, Any]) -> float:
    """Judge a variant again from the predictions on disk, as if it were the only one."""
    name = "student" if variant["chosen"] else f"variants-{variant['name']}-student"
    correct = {}
    for model in (name, variant["verdict"]["against"]):
        table = scores[model]
        hits = np.array(table["scores"].to_pylist()).argmax(1) == table["label"].to_numpy()
        correct[model] = hits.reshape(len(report["seeds"]), -1).astype(float)
    student, control = correct.values()
    return judge(student, {"c": control}, validation={"c": 1.0}, teacher=None).p_value


def test_a_variant_is_what_it_would_be_alone(swept: tuple[Path, dict[str, Any], Counter[str]], tmp_path: Path) -> None:
    _, report, _ = swept
    text = (SWEPT % "false").replace("soft_labels: {weight: 0.9}", "soft_labels: {weight: 0.5, temperature: 2}")
    alone = run(text, tmp_path / "alone")
    (same,) = (one for one in report["variants"] if list(one["settings"].values()) == [2, 0.5])
    assert alone["models"]["student"]["metrics"] == same["metrics"]
    assert alone["verdict"]["gain"] == same["verdict"]["gain"]


def test_hard_labels_are_the_chosen_variants_own(
    swept: tuple[Path, dict[str, Any], Counter[str]],
) -> None:
    _, report, _ = swept
    for one in report["variants"]:
        assert ("teacher_labels" in one["controls"]) is one["chosen"]
        assert (one["verdict"]["over_teacher_labels"] is not None) is one["chosen"]
    assert report["models"]["teacher_labels"]["steps"] == 12


def test_other_students_have_other_controls_and_a_killed_sweep_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = SWEPT % "false" + "sweep: {student.model.mlp.hidden: [[4], [8]], student.train.batch_size: [32, 64]}\n"
    whole = run(text, tmp_path / "whole")
    parameters = {json.dumps(one["settings"]): one["controls"]["labels"]["values"] for one in whole["variants"]}
    assert len(set(map(str, parameters.values()))) == 4
    real, left = jobs.Job._train, iter(range(7))

    def train(self: jobs.Job, *given: Any) -> None:
        if next(left, None) is None:
            raise KeyboardInterrupt
        real(self, *given)

    with monkeypatch.context() as patched:
        patched.setattr(jobs.Job, "_train", train)
        with pytest.raises(KeyboardInterrupt):
            run(text, tmp_path / "killed")
    resumed = run(text, tmp_path / "killed", resume=True)
    for one, other in zip(whole["variants"], resumed["variants"], strict=True):
        assert (one["metrics"], one["verdict"]) == (other["metrics"], other["verdict"])


def test_the_expected_steps_count_what_is_shared_once() -> None:
    plan = plan_from_recipe(parse_recipe(SWEPT % "false" + GRID))
    _, steps = pipeline.expected_steps(plan)
    assert steps == 12 * (24 + 8)


def test_a_sweep_without_validation_labels_is_refused() -> None:
    text = (SWEPT % "false" + GRID).replace("labels_per_class: 20", "labels_per_class: 2")
    with pytest.raises(UserError, match="expected data.labels_per_class of 5 or more"):
        plan_from_recipe(parse_recipe(text))


def test_a_sweep_of_one_value_and_one_without_controls_work(tmp_path: Path) -> None:
    one = (SWEPT % "false") + "controls: []\n"
    report = run(f"{one}sweep: {{student.train.lr: [0.02]}}\n", tmp_path / "one")
    assert [variant["verdict"] for variant in report["variants"]] == [None]
    assert report["verdict"] is None


def test_the_table_and_the_pages_name_every_variant(
    swept: tuple[Path, dict[str, Any], Counter[str]], call: Any
) -> None:
    folder, report, _ = swept
    for page in ("report.html", "report.md"):
        text = (folder / page).read_text("utf-8")
        assert all(one["title"] in text for one in report["variants"])
    assert limbeck.load(folder).report["sweep"]["chosen"] == report["sweep"]["chosen"]
