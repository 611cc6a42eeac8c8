from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from scipy.special import softmax

from limbeck.errors import ExportError
from limbeck.export.run_onnx import Session

WEIGHT = np.arange(6, dtype=np.float32).reshape(2, 3)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A linear model [B, 2] -> [B, 3] written without torch."""
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["features", "weight"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        ],
        "linear",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", 2])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 3]) for name in ("logits", "probabilities")],
        [onnx.numpy_helper.from_array(WEIGHT, "weight")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, tmp_path / "linear.onnx")
    return tmp_path / "linear.onnx"


@pytest.mark.parametrize("batch_size", [1, 3, 256])
@pytest.mark.parametrize("count", [0, 1, 10])
def test_answers_do_not_depend_on_batches(path: Path, count: int, batch_size: int) -> None:
    inputs = np.random.default_rng(0).normal(size=(count, 2)).astype(np.float32)
    logits, probabilities = Session(path).logits_and_probabilities(inputs, batch_size)
    assert logits.shape == probabilities.shape == (count, 3)
    np.testing.assert_allclose(logits, inputs @ WEIGHT, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(probabilities, softmax(inputs @ WEIGHT, axis=1), rtol=1e-5, atol=1e-6)


def test_latency_has_one_entry_for_each_number_of_threads(path: Path) -> None:
    measured = Session(path).latency(np.zeros((1, 2), np.float32), threads=[1, 2], repeats=20)
    assert [one["threads"] for one in measured] == [1, 2]
    assert all(0 < one["p50"] <= one["p95"] < 1000 for one in measured)


def test_latency_stops_after_its_time(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter(range(1_000_000))
    monkeypatch.setattr("time.perf_counter", lambda: next(now) / 100)  # every look at the clock takes 10 ms
    session = Session(path)
    measured = session.latency(np.zeros((1, 2), np.float32), threads=[1], repeats=10_000)
    assert measured[0]["p50"] == pytest.approx(10)
    assert next(now) < 100


@pytest.mark.parametrize(
    "inputs", [np.zeros((1, 3), np.float32), np.zeros((1, 2), np.float64), np.zeros((2,), np.float32)]
)
def test_inputs_that_the_graph_refuses(path: Path, inputs: np.ndarray) -> None:
    with pytest.raises(ExportError, match=rf"linear.onnx does not answer {inputs.dtype} inputs"):
        Session(path).logits_and_probabilities(inputs)


def test_a_file_that_is_no_graph(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"not a graph")
    with pytest.raises(ExportError, match=r"broken.onnx cannot be loaded"):
        Session(path)
    assert capfd.readouterr() == ("", "")


def test_torch_is_not_needed() -> None:
    code = "import sys, limbeck.export.run_onnx, limbeck.export.predict; print('torch' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout == "False\n"
