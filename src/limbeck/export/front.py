"""Preprocessing of table rows in front of an ONNX graph, so that the file takes what a table holds.

Shapes: B rows (dynamic, called "batch"), n columns of numbers, m of categories, D features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from limbeck.data.preprocess import FARTHEST, Categories, Numbers, Preprocessing
from limbeck.data.table import MISSING, Table
from limbeck.errors import ExportError
from limbeck.export.trace import INPUT
from limbeck.files import write_bytes

ML = "ai.onnx.ml"
ML_VERSION = 1
PREFIX = "front_"
BATCH = "batch"


@dataclass(frozen=True, eq=False)
class Front:
    """What stands in front of a graph that ships: a preprocessing, and some raw rows to try it on."""

    preprocessing: Preprocessing
    rows: Table

    def describe(self) -> dict[str, Any]:
        """Return the manifest's `table`: the columns of each input, the cells that say nothing, the preprocessing."""
        columns = self.preprocessing.columns
        inputs = {
            "numbers": {"type": "float32", "columns": list(columns.numbers)},
            "categories": {"type": "string", "columns": list(columns.categories)},
        }
        return {
            "inputs": {name: entry for name, entry in inputs.items() if entry["columns"]},
            "missing": list(MISSING),
            "preprocessing": self.preprocessing.as_json(),
        }


def attach_front(path: Path, preprocessing: Preprocessing, target: Path | None = None) -> None:
    """Put a preprocessing in front of a graph that takes features [B, D]; target: where to write it, else in place.

    The file then takes "numbers" float32 [B, n], NaN where missing, and "categories" string [B, m], "" where missing;
    an input without columns is left out. Outputs stay. Raises ExportError where the two do not fit.
    """
    core = onnx.load(path)
    try:
        front, features = _front(preprocessing, core)
        whole = onnx.compose.merge_models(front, core, io_map=[(features, INPUT["vector"])])
        opsets = {one.domain: one.version for one in whole.opset_import}  # each was there twice
        whole.ClearField("opset_import")
        whole.opset_import.extend(helper.make_opsetid(domain, number) for domain, number in opsets.items())
        onnx.checker.check_model(whole)
    except Exception as error:  # onnx raises errors of several kinds
        reason = str(error).strip().split("\n")[0][:200]
        raise ExportError(f"The preprocessing could not be put in front of {path}: {reason}") from error
    write_bytes(target or path, whole.SerializeToString(deterministic=True))


def _front(preprocessing: Preprocessing, core: Any) -> tuple[Any, str]:
    """Return a graph from raw rows to features, of the same versions as another graph, and the name of its output."""
    parts, inputs = Parts(), []
    numbers, categories = preprocessing.numbers, preprocessing.categories
    if numbers:
        inputs.append(helper.make_tensor_value_info("numbers", TensorProto.FLOAT, [BATCH, len(numbers)]))
        parts.add_numbers(numbers)
    if categories:
        inputs.append(helper.make_tensor_value_info("categories", TensorProto.STRING, [BATCH, len(categories)]))
        for place, column in enumerate(categories):
            parts.add_categories(place, column)
    features = parts.join()
    width = core.graph.input[0].type.tensor_type.shape.dim[1].dim_value
    output = helper.make_tensor_value_info(features, TensorProto.FLOAT, [BATCH, width])
    graph = helper.make_graph(parts.nodes, "front", inputs, [output], parts.constants)
    opsets = [*(one for one in core.opset_import if one.domain != ML), helper.make_opsetid(ML, ML_VERSION)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=core.ir_version), features


class Parts:
    """The nodes and constants of a graph in the making, and the names of the features [B, ...] made so far."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.features: list[str] = []

    def add_numbers(self, columns: Sequence[Numbers]) -> None:
        """Fill gaps, subtract, divide and clip in 64 bits as the preprocessing does, then flag the gaps."""
        wide = self.add("Cast", ["numbers"], to=TensorProto.DOUBLE)
        gap = self.add("IsNaN", [wide])
        filled = self.add("Where", [gap, self._constant([one.median for one in columns]), wide])
        centred = self.add("Sub", [filled, self._constant([one.mean for one in columns])])
        scaled = self.add("Div", [centred, self._constant([one.scale for one in columns])])
        near = self.add("Clip", [scaled, self._constant(-FARTHEST), self._constant(FARTHEST)])
        self.features.append(self.add("Cast", [near], to=TensorProto.FLOAT))
        flagged = [place for place, one in enumerate(columns) if one.flag]
        if flagged:
            gaps = self.add("Gather", [gap, self._constant(flagged)], axis=1)
            self.features.append(self.add("Cast", [gaps], to=TensorProto.FLOAT))

    def add_categories(self, place: int, column: Categories) -> None:
        """Flag each known text of a column: [B, K]; none is flagged where the text is unknown."""
        texts = self.add("Gather", ["categories", self._constant(place)], axis=1)
        flags = self.add("OneHotEncoder", [texts], domain=ML, cats_strings=list(column.texts), zeros=1)
        self.features.append(flags)

    def join(self) -> str:
        """Put all features beside each other, [B, D], and return their name."""
        return self.add("Concat", self.features, axis=1)

    def add(self, operator: str, inputs: Sequence[str], **attributes: Any) -> str:
        """Add a node with one output and return that one's name."""
        output = f"{PREFIX}{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    def _constant(self, values: float | int | list[float] | list[int]) -> str:
        name = f"{PREFIX}constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.array(values), name))
        return name
