"""An ensemble as the teacher of a run: its members, its answers, its column in the report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.run.stopping import Stopping, figures

import limbeck
from limbeck.data.dataset import Data
from limbeck.errors import ObjectiveError, RecipeError, UserError
from limbeck.models import MLP
from limbeck.preflight.checks import preflight
from limbeck.recipe.load import dump_recipe, parse_recipe
from limbeck.recipe.model import own_classes
from limbeck.run import beside, pipeline
from limbeck.run.label import label
from limbeck.run.plan import Plan, plan_from_recipe
from limbeck.run.reload import load_model
from limbeck.run.watch import Silent
from limbeck.train import loop

RECIPE = """\
name: together
seeds: 2
data: {source: digits, classes: [3, 5, 8], augment: [shift: {pixels: 1}], views: 2}
teacher:
  ensemble:
    - {name: wide, model: {mlp: {hidden: [32]}}, train: {steps: 60, lr: 0.01}}
    - {model: {mlp: {hidden: [16]}}, train: {steps: 40, lr: 0.01}}
    - {model: {mlp: {hidden: [16]}}, train: {steps: 40, lr: 0.01}}
  weights: confidence
student: {model: {mlp: {hidden: [4]}}, train: {steps: 24, batch_size: 64, lr: 0.01}}
objective: [soft_labels, cross_entropy]
controls: [labels, teacher_labels]
export: {onnx: false}
"""
MEMBERS = "{ensemble: [{model: mlp}, {model: linear}]"


def plan_of(text: str) -> Plan:
    return plan_from_recipe(parse_recipe(text))


def read(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "report.json").read_text("utf-8"))
    return found


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("together")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("LIMBECK_CACHE", str(place / "cache"))
        return pipeline.run(plan_of(RECIPE), out=place / "run")


def test_the_report_lists_each_member_and_the_ensemble(finished: Path) -> None:
    models = read(finished)["models"]
    assert list(models)[:4] == ["teacher", "teacher/wide", "teacher/2", "teacher/3"]
    assert [models[key]["role"] for key in list(models)[:4]] == ["teacher", "member", "member", "member"]
    assert models["teacher"]["architecture"] == "ensemble of 3"
    assert models["teacher/wide"]["architecture"] == "mlp(hidden=[32])"
    for key in ("teacher", "teacher/wide", "teacher/2"):
        assert models[key]["metrics"]["accuracy"]["mean"] > 0.5
    assert models["teacher/2"]["metrics"]["agreement"] is not None
    assert models["teacher"]["parameters"] == sum(models[f"teacher/{name}"]["parameters"] for name in ("wide", 2, 3))
    assert models["teacher/2"]["checksum"] != models["teacher/3"]["checksum"], "each is drawn by a seed of its own"
    assert read(finished)["cost"]["seconds"]["teacher"] > 0
    page = (finished / "report.html").read_text("utf-8")
    assert "teacher/wide" in page and "one of the ensemble" in page
    assert {path.stem for path in (finished / "predictions").iterdir()} >= {"teacher", "teacher-wide", "teacher-2"}


def test_the_student_is_taught_what_the_members_say(finished: Path) -> None:
    plan = plan_of(RECIPE)
    samples = plan.data.test.batch(torch.arange(30)).inputs
    with torch.no_grad():
        logs = [
            torch.log_softmax(load_model(finished / "teacher/members" / name)(samples).logits, 1)
            for name in ("wide", "2", "3")
        ]
    shares = torch.stack([torch.exp(-torch.special.entr(one.exp()).sum(1)) for one in logs])
    shares = shares / shares.sum(0)
    mean = sum(share[:, None] * one.exp() for share, one in zip(shares, logs, strict=True))
    import pyarrow.parquet as pq

    table = pq.read_table(finished / "predictions/teacher.parquet").slice(0, 30)
    found = torch.tensor(table["scores"].to_pylist())
    torch.testing.assert_close(found, mean.float(), atol=1e-4, rtol=0)


@pytest.mark.parametrize("stop", [3, 12, 30])
def test_a_run_that_was_stopped_goes_on_to_the_same_figures(
    finished: Path, stop: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick_page: None
) -> None:
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / "cache"))
    with pytest.raises(KeyboardInterrupt):
        pipeline.run(plan_of(RECIPE), out=tmp_path / "run", watcher=Stopping(stop))
    resumed = pipeline.run(plan_of(RECIPE), out=tmp_path / "run", resume=True)
    assert figures(resumed) == figures(finished)
    for path in finished.rglob("*.safetensors"):
        assert (resumed / path.relative_to(finished)).read_bytes() == path.read_bytes(), path


def test_helpers_and_a_sweep_change_no_figure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick_page: None
) -> None:
    found, threads = [], torch.get_num_threads()
    torch.set_num_threads(2)
    text = RECIPE + "sweep: {objective.soft_labels.temperature: [1, 4]}\nknowledge: {mode: stored}\n"
    for name, worth in (("helped", 1), ("alone", 10**9)):
        monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / f"{name}-cache"))
        monkeypatch.setattr(beside, "WORTH_STEPS", worth)
        found.append(figures(pipeline.run(plan_of(text), out=tmp_path / name)))
    torch.set_num_threads(threads)
    assert found[0] == found[1]
    assert {"teacher", "teacher/wide"} <= set(found[0]["models"])


def test_its_answers_are_labelled_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path))
    plan = plan_of(RECIPE)
    (first,) = label(plan, torch.device("cpu"), Silent())
    (second,) = label(plan, torch.device("cpu"), Silent())
    assert (first.forwards, second.forwards) == (2 * len(plan.data.pool), 0)


def test_check_finds_no_fault() -> None:
    assert not [finding for finding in preflight(plan_of(RECIPE)) if finding.level == "fault"]


def test_from_python(tmp_path: Path, quick_page: None) -> None:
    data = Data.open("digits", classes=["3", "5", "8"])
    teachers = [MLP((1, 8, 8), 3, hidden=(width,)) for width in (8, 16)]
    settings = limbeck.Settings(steps=8, batch_size=64)
    result = limbeck.distill(
        limbeck.Ensemble(teachers, combine="logits", weights=[1, 3]), lambda: MLP((1, 8, 8), 3, hidden=(4,)), data,
        train=settings, seeds=1, out=tmp_path / "run", export=False, progress=False,
    )  # fmt: skip
    assert result.report["models"]["teacher/2"]["architecture"] == "MLP"
    assert "labels that this run knows nothing of" in " ".join(result.verdict["notes"])
    with pytest.raises(UserError, match="An Ensemble expects two teachers or more, got 1"):
        limbeck.check(limbeck.Ensemble(teachers[:1]), lambda: MLP((1, 8, 8), 3), data)
    with pytest.raises(RecipeError, match="combine: expected 'probabilities' or 'logits', got 'mean'"):
        limbeck.check(limbeck.Ensemble(teachers, combine="mean"), lambda: MLP((1, 8, 8), 3), data)  # type: ignore[arg-type]
    with pytest.raises(ObjectiveError, match="weights has 3 values for 2 teachers"):
        limbeck.check(limbeck.Ensemble(teachers, weights=(1, 1, 1)), lambda: MLP((1, 8, 8), 3), data)


BASE = "student: {model: linear}\nobjective: [soft_labels, cross_entropy]\nteacher: "


@pytest.mark.parametrize(
    ("teacher", "said"),
    [
        ("{ensemble: [{model: mlp}]}", r"teacher.ensemble \(line 3\): expected a list of 2 or more"),
        (MEMBERS + ", model: mlp}", "model does not go with ensemble; give it to the teachers in it"),
        (MEMBERS + ", train: {epochs: 3}}", "train does not go with ensemble; give it to the teachers in it"),
        (MEMBERS + ", per_seed: true}", "per_seed does not go with ensemble"),
        (MEMBERS + ", labels: same}", "labels does not go with ensemble"),
        (MEMBERS + ", normalise: none}", "normalise does not go with ensemble"),
        (MEMBERS + ", self: {decay: 0.9}}", "self does not go with ensemble"),
        (MEMBERS + ", combine: mean}", "teacher.combine .*: expected 'probabilities' or 'logits', got 'mean'"),
        (MEMBERS + ", weights: trust}", "teacher.weights .*: expected 'equal', 'confidence' or 'agreement'"),
        (MEMBERS + ", weights: [1, 0]}", "teacher.weights.1 .*: expected more than 0, got 0"),
        (MEMBERS + ", weights: [1, 1, 1]}", "weights has 3 values for 2 teachers of the ensemble"),
        ("{model: mlp, weights: confidence}", "combine and weights are an ensemble's, but there is no ensemble"),
        ("{ensemble: [{model: mlp}, {}]}", r"teacher.ensemble.1 .*: expected model \(to train it here\) or source"),
        ("{ensemble: [{model: mlp}, {source: 'http://x/y'}]}", "teacher.ensemble.1 .*: every question to a teacher"),
        ("{ensemble: [{model: mlp, name: a}, {model: mlp, name: a}]}", "ensemble: the name 'a' is taken"),
        ("{ensemble: [{model: mlp, name: labels}, {model: mlp}]}", "ensemble: the name 'labels' is taken"),
        ("{ensemble: [{model: mlp, labels: same}, {model: mlp}]}", "teacher.ensemble.0.labels .*: unknown key"),
    ],
)
def test_mistakes_get_a_sentence(teacher: str, said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        parse_recipe(BASE + teacher)


def test_terms_on_features_are_refused(tmp_path: Path) -> None:
    plan = plan_of(RECIPE.replace("[soft_labels,", "[hint,"))
    with pytest.raises(ObjectiveError, match="hint needs features from the teacher, which gives labels and probs"):
        pipeline.run(plan, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_resolved_recipe_is_a_recipe() -> None:
    recipe = parse_recipe(RECIPE)
    assert parse_recipe(dump_recipe(recipe)) == recipe


def test_members_of_ones_own_are_named_for_trust() -> None:
    recipe = parse_recipe(BASE + '{ensemble: [{model: "mine:A"}, {model: mlp, train: {augment: ["mine:B"]}}]}')
    assert own_classes(recipe) == ["mine:A", "mine:B"]
