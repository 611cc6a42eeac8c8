from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper


class Planted:
    """A float file whose answers are known, and samples of 4 classes for it: class c lights up pixel c of 8.

    Two layers, 8 -> 6 -> 4. The hidden layer passes the first 4 pixels on; its 5th unit is always 0 and its 6th is what
    the rest of the pixels sum up to.
    """

    shape, classes = (8,), ("ant", "bee", "cat", "dog")

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.first = np.zeros((8, 6), np.float32)
        self.first[range(4), range(4)] = 1
        self.first[4:, 5] = 0.1
        self.last = np.zeros((6, 4), np.float32)
        self.last[range(4), range(4)] = 3

    def write(self, name: str = "float.onnx", dead: float = 0.0, of: int = 2) -> Path:
        """Write the file; dead: the weight from the unit that is always 0 to a class. It changes no answer in float,
        but it sets the scale of that class's weights: with a huge one, the others of the class become 0 in int8.
        """
        last = self.last.copy()
        last[4, of] = dead
        nodes = [
            helper.make_node("Gemm", ["features", "a", "zeros"], ["sums"], "first"),
            helper.make_node("Relu", ["sums"], ["hidden"], "relu"),
            helper.make_node("Gemm", ["hidden", "b", "bias"], ["logits"], "last"),
            helper.make_node("Softmax", ["logits"], ["probabilities"], "softmax", axis=1),
        ]
        values = {"a": self.first, "zeros": np.zeros(6, np.float32), "b": last, "bias": np.zeros(4, np.float32)}
        graph = helper.make_graph(
            nodes, "planted",
            [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["b", 8])],
            [helper.make_tensor_value_info(out, TensorProto.FLOAT, ["b", 4]) for out in ("logits", "probabilities")],
            [onnx.numpy_helper.from_array(value, key) for key, value in values.items()],
        )  # fmt: skip
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
        onnx.save(model, self.folder / name)
        return self.folder / name

    def samples(self, counts: tuple[int, ...], seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return inputs [N, 8] and labels [N]; counts: samples of each class."""
        labels = np.repeat(np.arange(len(counts)), counts).astype(np.int64)
        inputs = np.random.default_rng(seed).uniform(0, 0.3, (len(labels), 8)).astype(np.float32)
        inputs[np.arange(len(labels)), labels] = 1
        order = np.random.default_rng(seed).permutation(len(labels))
        return inputs[order], labels[order]


@pytest.fixture
def planted(tmp_path: Path) -> Planted:
    return Planted(tmp_path)
