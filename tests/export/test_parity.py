from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from torch import nn

from limbeck.errors import ExportError
from limbeck.export.parity import check_parity, file_parity
from limbeck.models.adapt import Adapted


def write(path: Path, weight: np.ndarray, *, centre: bool = False) -> Path:
    """A linear file [B, 4] -> [B, 3]; centred, it subtracts the batch's mean, as batch norm in train mode."""
    nodes = [helper.make_node("MatMul", ["features", "weight"], ["product"])]
    if centre:
        nodes.append(helper.make_node("ReduceMean", ["product", "axes"], ["mean"], keepdims=1))
        nodes.append(helper.make_node("Sub", ["product", "mean"], ["logits"]))
    else:
        nodes.append(helper.make_node("Identity", ["product"], ["logits"]))
    graph = helper.make_graph(
        [*nodes, helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1)],
        "linear",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", 4])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 3]) for name in ("logits", "probabilities")],
        [
            onnx.numpy_helper.from_array(weight.astype(np.float32), "weight"),
            onnx.numpy_helper.from_array(np.array([0]), "axes"),
        ],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return path


@pytest.fixture
def model() -> Adapted:
    torch.manual_seed(0)
    return Adapted(nn.Sequential(nn.Linear(4, 3, bias=False), nn.Dropout(0.5)), classes=3)


def weight(model: Adapted) -> np.ndarray:
    return model.net[0].weight.detach().numpy().T.copy()


def test_equal_files_pass_and_say_by_how_much(tmp_path: Path, model: Adapted) -> None:
    shifted = weight(model)
    shifted[0, 0] += 2e-4
    path = write(tmp_path / "a.onnx", shifted)
    found = check_parity(model.train(), path, torch.eye(4))
    assert found["max_abs_error"] == pytest.approx(2e-4, rel=0.01)
    assert found["agreement"] == 1.0
    assert found["parity_batches"] == [1, 2, 7]
    assert model.training


def test_a_wrong_weight_is_found_with_both_numbers(tmp_path: Path, model: Adapted) -> None:
    shifted = weight(model)
    shifted[3, 2] += 0.25
    path = write(tmp_path / "a.onnx", shifted)
    with pytest.raises(ExportError, match=r"batches of 1 a logit differs by 0\.25, more than the 0\.001 "):
        check_parity(model, path, torch.eye(4))


def test_the_tolerance_grows_with_the_logits(tmp_path: Path, model: Adapted) -> None:
    with torch.no_grad():
        model.net[0].weight.mul_(0).add_(1000)
    path = write(tmp_path / "a.onnx", weight(model) + 0.9)
    assert check_parity(model, path, torch.eye(4))["max_abs_error"] == pytest.approx(0.9, rel=1e-3)
    with pytest.raises(ExportError, match="more than the 1 "):
        check_parity(model, write(path, weight(model) + 1.1), torch.eye(4))


def test_answers_that_depend_on_the_batch_are_found(tmp_path: Path, model: Adapted) -> None:
    path = write(tmp_path / "a.onnx", weight(model), centre=True)
    samples = torch.cat([torch.eye(4), -torch.eye(4)])[[0, 4, 1, 5, 2, 6, 3, 7]]  # pairs whose mean is 0
    with pytest.raises(ExportError, match="batches of 1 "):
        check_parity(model, path, samples)
    check_parity(model, path, samples, batches=[2])
    with pytest.raises(ExportError, match="batches of 7 "):
        check_parity(model, path, samples, batches=[2, 7])


def test_nan_is_no_parity(tmp_path: Path, model: Adapted) -> None:
    with pytest.raises(ExportError, match="differs by nan"):
        check_parity(model, write(tmp_path / "a.onnx", weight(model) * np.nan), torch.eye(4))


def test_no_sample_is_no_parity(tmp_path: Path, model: Adapted) -> None:
    with pytest.raises(ExportError, match="none were given"):
        check_parity(model, write(tmp_path / "a.onnx", weight(model)), torch.zeros(0, 4))


def test_one_sample_still_fills_every_batch(tmp_path: Path, model: Adapted) -> None:
    path = write(tmp_path / "a.onnx", weight(model), centre=True)
    with pytest.raises(ExportError, match="batches of 7 "):
        check_parity(model, path, torch.ones(1, 4), batches=[7])


def test_two_files_are_compared_in_every_batch_size(tmp_path: Path, model: Adapted) -> None:
    reference, other = write(tmp_path / "a.onnx", weight(model)), write(tmp_path / "b.onnx", weight(model) + 0.25)
    found = file_parity(reference, other, torch.eye(4))
    assert found["max_abs_error"] == pytest.approx(0.25)
    assert (found["agreement"], found["parity_batches"]) == (1.0, [1, 2, 7])
    mixed = write(tmp_path / "c.onnx", weight(model), centre=True)  # right in no batch: the mean is subtracted
    assert file_parity(reference, mixed, torch.eye(4))["agreement"] < 1
