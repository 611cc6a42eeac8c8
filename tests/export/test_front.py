from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.compose import ColumnTransformer
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from torch import nn

from limbeck.data.preprocess import fit
from limbeck.data.table import Columns, Table
from limbeck.errors import ExportError
from limbeck.export.bundle import write_bundle
from limbeck.export.front import Front, attach_front
from limbeck.export.graph import export_graph
from limbeck.export.predict import predict
from limbeck.models.adapt import Adapted

MIXED = Columns(("age", "in come"), ("city", "größe"))
cell = st.one_of(st.just(float("nan")), st.floats(-1e6, 1e6, width=32))
city = st.sampled_from(["Rome", "Oslo", "", "ä\n,", "never seen"])
row = st.tuples(cell, cell, city, city)


def as_table(rows: list[tuple]) -> Table:
    numbers = np.float32([one[:2] for one in rows]).reshape(-1, 2)
    return Table(MIXED, numbers, np.array([one[2:] for one in rows], dtype=object).reshape(-1, 2))


def training() -> Table:
    draw = np.random.default_rng(0)
    rows = [(draw.normal(40, 9), draw.normal(1e6, 5), draw.choice(["Rome", "Oslo"]), "ä\n,") for _ in range(40)]
    rows += [(np.nan, 1e6, "", ""), (41, 1e6 + 3, "Oslo", "Rome")]
    return as_table(rows)


def mlp(width: int) -> Adapted:
    torch.manual_seed(0)
    return Adapted(nn.Sequential(nn.Linear(width, 8), nn.ReLU(), nn.Linear(8, 3)), classes=3).eval()


def mixed(table: Table) -> np.ndarray:
    return np.concatenate([table.numbers.astype(object), table.categories], axis=1)


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Table], np.ndarray]:
    """The final file, asked about raw rows."""
    learned, _ = fit(training(), "y")
    path = tmp_path_factory.mktemp("front") / "student.onnx"
    width = learned(training()).shape[1]
    export_graph(mlp(width), path, shape=(width,), kind="vector")
    attach_front(path, learned)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda table: session.run(["logits"], table.feed())[0]


@pytest.fixture(scope="module")
def reference() -> Callable[[Table], np.ndarray]:
    """The pipeline of scikit-learn, then the model of PyTorch: nothing of it is Limbeck's."""
    pipeline = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), [0, 1]),
            ("gaps", MissingIndicator(error_on_new=False), [0, 1]),
            ("texts", OneHotEncoder(handle_unknown="ignore", sparse_output=False), [2, 3]),
        ]
    ).fit(mixed(training()))

    def answer(table: Table) -> np.ndarray:
        features = pipeline.transform(mixed(table)).astype(np.float32)
        with torch.no_grad():
            return mlp(features.shape[1])(torch.from_numpy(features)).logits.numpy()

    return answer


@settings(max_examples=60)
@given(rows=st.sampled_from([1, 2, 7]).flatmap(lambda count: st.lists(row, min_size=count, max_size=count)))
def test_the_file_is_scikit_learn_and_torch_on_raw_rows(
    ask: Callable[[Table], np.ndarray], reference: Callable[[Table], np.ndarray], rows: list[tuple]
) -> None:
    wanted = reference(as_table(rows))
    np.testing.assert_allclose(ask(as_table(rows)), wanted, rtol=1e-4, atol=1e-4 * max(1, np.abs(wanted).max()))


@pytest.mark.parametrize("columns", [Columns(("age",), ()), Columns((), ("city",)), MIXED])
def test_an_input_without_columns_is_left_out(tmp_path: Path, columns: Columns) -> None:
    table = training().choose(columns)
    learned, _ = fit(table, "y")
    width = learned(table).shape[1]
    export_graph(mlp(width), tmp_path / "core.onnx", shape=(width,), kind="vector", temperature=2.0)
    attach_front(tmp_path / "core.onnx", learned, tmp_path / "whole.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "whole.onnx", providers=["CPUExecutionProvider"])
    assert {one.name for one in session.get_inputs()} == set(table.feed())
    core = onnxruntime.InferenceSession(tmp_path / "core.onnx", providers=["CPUExecutionProvider"])
    names = ["logits", "probabilities"]
    for found, wanted in zip(
        session.run(names, table.feed()), core.run(names, {"features": learned(table)}), strict=True
    ):
        np.testing.assert_allclose(found, wanted, atol=1e-6)
    proto = onnx.load(tmp_path / "whole.onnx")
    onnx.checker.check_model(proto, full_check=True)
    assert len({one.domain for one in proto.opset_import}) == len(proto.opset_import)
    assert "batch" in str(session.get_inputs()[0].shape)


def test_a_graph_of_another_width_is_refused(tmp_path: Path) -> None:
    learned, _ = fit(training(), "y")
    model = mlp(3)
    with pytest.raises(ExportError, match=r"student\.onnx"):
        write_bundle(**bundle_of(tmp_path / "export", model, Front(learned, training().take(np.arange(9)))))
    export_graph(model, tmp_path / "core.onnx", shape=(3,), kind="vector")
    (tmp_path / "no.onnx").write_bytes(onnx.ModelProto().SerializeToString())
    with pytest.raises(ExportError, match="could not be put in front of"):
        attach_front(tmp_path / "no.onnx", learned)


def bundle_of(folder: Path, model: Adapted, front: Front) -> dict:
    width = model.net[0].in_features
    features = front.preprocessing(front.rows)[:, :width]
    return {
        "folder": folder, "model": model, "name": "student", "shape": (width,), "kind": "vector",
        "classes": ["a", "b", "c"], "temperature": 1.0, "reading": None, "source_hash": "0",
        "samples": torch.from_numpy(features), "extra": {}, "front": front,
    }  # fmt: skip


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "export"
    learned, _ = fit(training(), "y")
    front = Front(learned, training())
    write_bundle(**bundle_of(folder, mlp(learned(training()).shape[1]), front))
    return folder


def test_the_manifest_lists_columns_types_and_classes(bundle: Path) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["table"]["inputs"] == {
        "numbers": {"type": "float32", "columns": ["age", "in come"]},
        "categories": {"type": "string", "columns": ["city", "größe"]},
    }
    assert manifest["table"]["preprocessing"] == json.loads(json.dumps(fit(training(), "y")[0].as_json()))
    assert (manifest["input"]["type"], manifest["input"]["name"], manifest["classes"]) == (
        "table",
        None,
        ["a", "b", "c"],
    )
    assert manifest["parity"]["parity_batches"] == [1, 2, 7]
    assert manifest["files"]["student.onnx"]["bytes"] == (bundle / "student.onnx").stat().st_size


def script(bundle: Path, *files: Path) -> list[dict]:
    command = [sys.executable, "-I", bundle / "predict.py", *files]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("separator", [",", ";"])
def test_both_doors_read_a_csv_by_name(
    bundle: Path, tmp_path: Path, reference: Callable[[Table], np.ndarray], separator: str
) -> None:
    rows = [(40.5, 1e6 + 1, "Rome", "ä\n,"), (np.nan, 1e6, "Quito", ""), (39, np.nan, "", "Rome"), (1, 2, "Oslo", "x")]
    with (tmp_path / "t.csv").open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file, delimiter=separator)
        writer.writerow(["größe", "extra", " in come", "age", "city"])
        for one in rows:
            told = ["?" if isinstance(value, float) and np.isnan(value) else str(value) for value in one]
            writer.writerow([told[3], "nothing", told[1], f" {told[0]} ", told[2]])
    wanted = reference(as_table(rows))
    chances = torch.from_numpy(wanted).softmax(1).numpy()
    for found in (list(predict(bundle, [tmp_path / "t.csv"])), script(bundle, tmp_path / "t.csv")):
        assert [one["class"] for one in found] == ["abc"[place] for place in wanted.argmax(1)]
        np.testing.assert_allclose([one["probability"] for one in found], chances.max(1), atol=1e-4)
    assert [one["row"] for one in predict(bundle, [tmp_path / "t.csv"])] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("age,in come,city\n1,2,Rome\n", ["größe", "city"]),
        ("age,in come,city,größe\n1,2,Rome,x\n1,much,Rome,x\n", ["row 3", '"in come"', '"much"']),
        ("age,in come,city,größe\n1,2,Rome,x\n1,inf,Rome,x\n", ["row 3", '"in come"', "inf"]),
        ("age,in come,city,größe\n1,2,Rome,x\n1,2\n", ["2"]),
        ("age,in come,city,größe\n", ["no row below the header"]),
        ("", ["t.csv"]),
    ],
)
def test_both_doors_say_what_is_wrong_and_go_on(bundle: Path, tmp_path: Path, text: str, words: list[str]) -> None:
    (tmp_path / "t.csv").write_text(text, encoding="utf-8")
    (tmp_path / "good.csv").write_text("age,in come,city,größe\n1,2,Rome,x\n", encoding="utf-8")
    files = [tmp_path / "gone.csv", tmp_path / "t.csv", tmp_path / "good.csv"]
    for found in (list(predict(bundle, files)), script(bundle, *files)):
        assert ["error" in one for one in found] == [True, True, False]
        assert "gone.csv" in found[0]["error"]
        assert all(word in found[1]["error"] for word in words), found[1]
