"""A student of values or several labels, taught by answers alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

import limbeck
from limbeck.data.contents import ReadOptions
from limbeck.data.dataset import Data
from limbeck.errors import RecipeError, UserError
from limbeck.models import Linear
from limbeck.preflight.checks import preflight
from limbeck.recipe.load import parse_recipe
from limbeck.run.pipeline import run
from limbeck.run.plan import Plan, plan_from_recipe
from limbeck.run.result import read_report

DIABETES = """\
name: answers
seeds: 1
data: {source: diabetes, task: regression}
student: {model: {mlp: {hidden: [8]}}, train: {steps: 60, lr: 0.01}}
objective: [soft_regression: {weight: 0.7}, squared_error: {weight: 0.3}]
"""
pytestmark = pytest.mark.usefixtures("quick_page")


def plan(teacher: str, text: str = DIABETES) -> Plan:
    return plan_from_recipe(parse_recipe(f"{text}teacher: {{source: '{teacher}'}}\n"))


def values_of(data: Data) -> np.ndarray:
    return data.pool.labels.numpy()


def test_a_run_is_taught_by_an_exported_file_and_by_a_file_of_answers(tmp_path: Path) -> None:
    teacher = DIABETES + "teacher: {model: {mlp: {hidden: [16]}}, train: {steps: 60, lr: 0.01}}\n"
    first = run(plan_from_recipe(parse_recipe(teacher)), out=tmp_path / "first")
    told = read_report(first)["models"]["student"]["metrics"]["mse"]["mean"]

    graph = run(plan(f"onnx:{first}/export/student.onnx"), out=tmp_path / "graph")
    box = read_report(graph)["models"]["teacher"]
    assert box["metrics"]["mse"]["mean"] == pytest.approx(told, rel=1e-3), "in the user's units, by the file alone"
    assert read_report(graph)["verdict"]["against"] == "labels"

    data = Data.open("diabetes", options=ReadOptions(task="regression"))
    both = [*data.pool.ids, *data.test.ids]
    truth = [*values_of(data)[:, 0].tolist(), *data.test.labels.numpy()[:, 0].tolist()]
    pq.write_table(pa.table({"id": both, data.classes[0]: truth}), tmp_path / "a.parquet")
    answers = read_report(run(plan(f"labels:{tmp_path}/a.parquet"), out=tmp_path / "answers"))
    assert answers["models"]["teacher"]["metrics"]["mse"]["mean"] == pytest.approx(0, abs=1e-3)


def test_a_forest_teaches_values(tmp_path: Path) -> None:
    skops = pytest.importorskip("skops.io", reason="skops is not installed (the extra trees)")
    data = plan_from_recipe(parse_recipe(DIABETES + "teacher: {model: linear}\n")).data
    x, y = data.pool.batch(data.train).inputs.numpy(), values_of(data)[data.train.numpy(), 0]
    skops.dump(RandomForestRegressor(20, random_state=0).fit(x, y), tmp_path / "forest.skops")
    made = plan(f"sklearn:{tmp_path}/forest.skops")
    assert not [finding for finding in preflight(made) if finding.level == "fault"]
    report = read_report(run(made, out=tmp_path / "run"))
    assert 0.2 < report["models"]["teacher"]["metrics"]["r2"]["mean"] < 0.7
    assert report["models"]["student"]["metrics"]["r2"]["mean"] > 0.2


def test_a_forest_teaches_several_labels_from_python(tmp_path: Path) -> None:
    skops = pytest.importorskip("skops.io", reason="skops is not installed (the extra trees)")
    random = np.random.default_rng(0)
    x = random.normal(size=(300, 4)).astype(np.float32)
    y = (x[:, :2] > 0).astype(np.float32)
    skops.dump(RandomForestClassifier(20, random_state=0).fit(x, y.astype(int)), tmp_path / "forest.skops")
    data = limbeck.Data.from_arrays((x, y), task="multi_label", classes=("rain", "wind"))
    result = limbeck.distill(
        f"sklearn:{tmp_path}/forest.skops", lambda: Linear((4,), 2), data, epochs=4, seeds=1, out=tmp_path / "run",
        progress=False,
    )  # fmt: skip
    assert result.report["models"]["teacher"]["metrics"]["map"]["mean"] > 0.95


def test_what_cannot_be_asked_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="onnx:, sklearn: or labels:, got one from keras:"):
        plan("keras:model.keras")
    data = limbeck.Data.from_arrays((np.zeros((40, 2), np.float32), np.arange(40.0)), task="regression")
    with pytest.raises(UserError, match="from https: is not made yet; expected onnx:, sklearn: or labels:"):
        limbeck.distill("https://localhost/x", lambda: Linear((2,), 1), data, out=tmp_path / "run")
