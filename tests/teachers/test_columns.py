"""Teachers of values and of several labels that only answer: files, graphs, scikit-learn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from onnx import TensorProto, helper
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LinearRegression

from limbeck.data.scaling import Scaling
from limbeck.errors import DataError, ModelError
from limbeck.teachers.answer_columns import read_answer_columns
from limbeck.teachers.columns import Columns
from limbeck.teachers.feeding import Feeding
from limbeck.teachers.onnx_file import OnnxTeacher
from limbeck.teachers.sklearn_columns import SklearnColumns
from limbeck.types import Batch

PRICE = Columns(("price",), Scaling((100.0,), (20.0,)))
HOMES = Columns(("price", "rent"), Scaling((100.0, 5.0), (20.0, 2.0)))
WEATHER = Columns(("rain", "wind"), None)
X = np.random.default_rng(0).normal(size=(40, 3))


def table(path: Path, **columns: Any) -> Path:
    pq.write_table(pa.table({"id": [f"s{row}" for row in range(len(next(iter(columns.values()))))], **columns}), path)
    return path


def graph(path: Path, name: str, width: int, *, squeeze: bool = False, sigmoid: bool = False) -> Path:
    """Write x @ 1 of [n, 3], as [n, width] or [n]."""
    ones = onnx.numpy_helper.from_array(np.ones((3, width), np.float32), "w")
    axes = onnx.numpy_helper.from_array(np.array([1]), "axes")
    nodes = [helper.make_node("MatMul", ["x", "w"], ["a"])]
    nodes += [helper.make_node("Sigmoid" if sigmoid else "Identity", ["a"], ["b"])]
    nodes += [helper.make_node("Squeeze" if squeeze else "Identity", ["b", "axes"] if squeeze else ["b"], [name])]
    made = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None)], [ones, axes],
    )  # fmt: skip
    onnx.save(helper.make_model(made, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
    return path


def test_values_are_brought_to_the_scale_of_training(tmp_path: Path) -> None:
    by_name = table(tmp_path / "a.parquet", rent=[5.0, 9.0], price=[120.0, 80.0], other=["x", "y"])
    as_list = table(tmp_path / "b.parquet", values=[[120.0, 5.0], [80.0, 9.0]])
    for path in (by_name, as_list):
        found = read_answer_columns(path, HOMES)
        assert (found.says, found.classes, found.ids) == ("logits", HOMES.names, ("s0", "s1"))
        torch.testing.assert_close(found.scores, torch.tensor([[1.0, 0.0], [-1.0, 2.0]]))


def test_a_run_speaks_by_the_mean_of_its_seeds(tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    columns = {"id": ["a", "b", "a", "b"], "seed": [0, 0, 1, 1], "scores": [[110.0], [60.0], [130.0], [80.0]]}
    pq.write_table(pa.table(columns), path)
    torch.testing.assert_close(read_answer_columns(path, PRICE).scores, torch.tensor([[1.0], [-1.5]]))


def test_scores_of_labels_are_logits(tmp_path: Path) -> None:
    logits = torch.tensor([[2.0, -1.0], [0.5, 0.25]])
    lists = {"logits": logits, "probabilities": logits.sigmoid(), "scores": logits.sigmoid()}
    for name, values in lists.items():
        found = read_answer_columns(table(tmp_path / "a.parquet", **{name: values.tolist()}), WEATHER).scores
        torch.testing.assert_close(found, logits)
    certain = read_answer_columns(table(tmp_path / "b.parquet", rain=[0, 1], wind=[1, 0]), WEATHER).scores
    assert certain is not None and bool(torch.isfinite(certain).all()) and bool((certain.abs() > 20).all())


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({"price": [1.0, 2.0]}, "columns price, rent are expected, or a list values; found price"),
        ({"values": [[1.0], [2.0]]}, "should answer for price, rent, in this order; it answers for 1 of them"),
        ({"price": ["1", "2"], "rent": [1.0, 2.0]}, 'the column "price" should hold numbers, but it holds string'),
        ({"values": [[1.0, 2.0], [float("nan"), 2.0]]}, 'the answer for "s1" holds a value that is not a finite'),
    ],
)
def test_mistakes_in_a_file(columns: dict[str, Any], told: str, tmp_path: Path) -> None:
    with pytest.raises((DataError, ModelError), match=told):
        read_answer_columns(table(tmp_path / "a.parquet", **columns), HOMES)


def test_chances_outside_of_0_to_1_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"probabilities are expected in 0\.\.1"):
        read_answer_columns(table(tmp_path / "a.parquet", probabilities=[[0.5, 1.5]]), WEATHER)


@pytest.mark.parametrize(("name", "squeeze"), [("values", False), ("variable", False), ("output", True)])
def test_a_graph_of_one_value(name: str, squeeze: bool, tmp_path: Path) -> None:
    inputs = torch.from_numpy(X).float()
    teacher = OnnxTeacher(graph(tmp_path / "m.onnx", name, 1, squeeze=squeeze), inputs[:2], Feeding(), PRICE)
    said = teacher(Batch(inputs)).logits
    assert teacher.provides == {"logits"} and teacher.classes == 1
    torch.testing.assert_close(said, (inputs.sum(1, keepdim=True) - 100) / 20)


def test_a_graph_of_several_labels(tmp_path: Path) -> None:
    inputs = torch.from_numpy(X).float()
    for name, sigmoid in (("logits", False), ("probabilities", True), ("y", True)):
        path = graph(tmp_path / "m.onnx", name, 2, sigmoid=sigmoid)
        said = OnnxTeacher(path, inputs[:2], Feeding(), WEATHER)(Batch(inputs)).logits
        torch.testing.assert_close(said, inputs.sum(1, keepdim=True).expand(-1, 2), rtol=1e-3, atol=1e-3)
    with pytest.raises(ModelError, match="answers for 3 of them"):
        OnnxTeacher(graph(tmp_path / "m.onnx", "y", 3), inputs[:2], Feeding(), WEATHER)


def skops_file(path: Path, model: Any) -> Path:
    skops = pytest.importorskip("skops.io", reason="skops is not installed (the extra trees)")
    skops.dump(model, path)
    return path


def test_regressors_of_scikit_learn(tmp_path: Path) -> None:
    y = np.stack([X[:, 0] * 20 + 100, X[:, 1] * 2 + 5], axis=1)
    inputs = torch.from_numpy(X).float()
    for model in (LinearRegression(), RandomForestRegressor(5, random_state=0)):
        path = skops_file(tmp_path / "m.skops", model.fit(X.astype(np.float32), y))
        said = SklearnColumns(path, inputs[:2], Feeding(), HOMES)(Batch(inputs)).logits
        expected = (model.predict(inputs.numpy()) - [100, 5]) / [20, 2]
        torch.testing.assert_close(said, torch.from_numpy(expected).float())
    with pytest.raises(ModelError, match="should answer for price, in this order; it answers for 2 of them"):
        SklearnColumns(path, inputs[:2], Feeding(), PRICE)
    with pytest.raises(ModelError, match="a classifier of several labels with predict_proba is expected"):
        SklearnColumns(path, inputs[:2], Feeding(), WEATHER)


def test_a_forest_of_several_labels(tmp_path: Path) -> None:
    inputs = torch.from_numpy(X).float()
    model = RandomForestClassifier(5, random_state=0).fit(X.astype(np.float32), (X[:, :2] > 0).astype(int))
    path = skops_file(tmp_path / "m.skops", model)
    said = SklearnColumns(path, inputs[:2], Feeding(), WEATHER)(Batch(inputs)).logits
    assert said is not None
    expected = np.stack([one[:, 1] for one in model.predict_proba(inputs.numpy())], axis=1)
    torch.testing.assert_close(said.sigmoid(), torch.from_numpy(expected).float(), rtol=1e-4, atol=1e-6)
    with pytest.raises(ModelError, match="a regressor is expected"):
        SklearnColumns(path, inputs[:2], Feeding(), HOMES)
