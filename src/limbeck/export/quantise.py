"""An int8 file from a float file by static quantisation (ONNX Runtime); torch is not needed.

Weights become int8 with a scale for each output channel, activations uint8 with ranges that are found on samples; both
are written as pairs of QuantizeLinear and DequantizeLinear. Weights use 7 of the 8 bits, because processors without
integer dot products add pairs of 8-bit products in 16 bits: with 8 bits the sum may saturate there, and the file would
answer otherwise than where it was judged. What reads the raw input, and the logits with all that follows, stays in
float. Never dynamic quantisation: with it, the ranges of a batch decide the answer for a sample.

Shapes: N samples, B of them in a batch.
"""

from __future__ import annotations

import io
import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static

from limbeck.errors import ExportError
from limbeck.files import write_bytes

Calibration = Literal["min-max", "percentile", "entropy"]

METHODS = {
    "min-max": CalibrationMethod.MinMax,
    "percentile": CalibrationMethod.Percentile,
    "entropy": CalibrationMethod.Entropy,
}
PERCENTILE = 99.99
BATCH = 32
LAYERS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
PASSING = (
    "Relu", "LeakyRelu", "Clip", "MaxPool", "AveragePool", "GlobalAveragePool", "Add", "Concat", "Pad", "Reshape",
    "Flatten", "Transpose", "Squeeze", "Unsqueeze",
)  # fmt: skip
OPTIONS = {
    "CalibStridedMinMax": 1,  # batches at once, whatever the calibration: bounds the memory
    "CalibPercentile": PERCENTILE,
    "MatMulConstBOnly": True,
    "OpTypesToExcludeOutputQuantization": ["Gemm", "MatMul"],  # the logits are the output of one
}
PREPARED = ("onnx.quant.pre_process", "onnxruntime.quant")  # the mark that a graph is optimised already


@dataclass(frozen=True)
class Setting:
    """calibration: how ranges of activations are found; in_float: names of nodes that are not quantised."""

    calibration: Calibration = "min-max"
    in_float: tuple[str, ...] = ()


@dataclass(frozen=True)
class Layer:
    """A node with weights: its name in the graph, a name for people, and the number of its weights."""

    node: str
    title: str
    weights: int


def quantise(source: Path, target: Path, samples: NDArray[Any], setting: Setting) -> None:
    """Write the int8 form of a float file, atomically; the same arguments give the same bytes.

    samples: raw inputs [N, ...] to find the ranges of activations on, N at least 1; training samples, never those that
    the file is judged on. Raises ExportError when the file cannot be quantised, DiskError when it cannot be written.
    """
    if not len(samples):
        raise ExportError("The ranges of an int8 file are found on training samples, but none were given.")
    proto = _read(source)
    entry = proto.metadata_props.add()
    entry.key, entry.value = PREPARED
    with tempfile.TemporaryDirectory() as scratch, _silent():
        path = Path(scratch) / "int8.onnx"
        try:
            quantize_static(
                proto,
                path,
                _Reader(proto.graph.input[0].name, samples),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=[*LAYERS, *PASSING],
                per_channel=True,
                reduce_range=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                nodes_to_exclude=[*_outside(proto.graph), *setting.in_float],
                calibrate_method=METHODS[setting.calibration],
                extra_options=OPTIONS,
            )
            quantised = onnx.load(path)
        except Exception as error:  # the quantiser lets any error through
            raise ExportError(f"{source.name} cannot be quantised: {_reason(error)}") from error
    quantised.ClearField("metadata_props")
    write_bytes(target, quantised.SerializeToString(deterministic=True))


def layers_of(source: Path) -> list[Layer]:
    """Return the layers of a float file that would become int8, in the graph's order."""
    graph = _read(source).graph
    sizes = {one.name: int(np.prod(one.dims)) for one in graph.initializer}
    found = [node for node in graph.node if node.op_type in LAYERS and node.input[1] in sizes]
    return [Layer(node.name, _title(node), sizes[node.input[1]]) for node in found]


def quantised_nodes(source: Path) -> list[str]:
    """Return the names of all nodes of a float file that are quantised unless a setting leaves them in float."""
    graph = _read(source).graph
    outside = set(_outside(graph))
    return [node.name for node in graph.node if node.op_type in LAYERS + PASSING and node.name not in outside]


def _read(path: Path) -> Any:
    """Return a graph in which every node has a name."""
    proto = onnx.load(path)
    for place, node in enumerate(proto.graph.node):
        node.name = node.name or f"node_{place}"
    return proto


def _outside(graph: Any) -> Iterator[str]:
    """Yield the nodes that never become int8: what comes before the first layer, and biases that are added apart."""
    constants = {one.name for one in graph.initializer}
    raw = {entry.name for entry in graph.input}
    for node in graph.node:
        if node.op_type not in LAYERS and raw.intersection(node.input):
            raw.update(node.output)
            yield node.name
        elif node.op_type == "Add" and constants.intersection(node.input):
            yield node.name


def _title(node: Any) -> str:
    weight = str(node.input[1])
    return weight.removeprefix("model.net.").removesuffix(".weight") if weight.endswith(".weight") else str(node.name)


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    """Samples in batches, as the quantiser asks for them."""

    def __init__(self, name: str, samples: NDArray[Any]) -> None:
        self._name = name
        self._batches = [samples[start : start + BATCH] for start in range(0, len(samples), BATCH)]
        self._asked = iter(self._batches)

    def __len__(self) -> int:
        return len(self._batches)

    def set_range(self, start_index: int, end_index: int) -> None:
        """Begin anew with the batches from one number to another."""
        self._asked = iter(self._batches[start_index:end_index])

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        """Return the next batch [B, ...] by the input's name, None after the last."""
        batch = next(self._asked, None)
        return None if batch is None else {self._name: batch}


@contextmanager
def _silent() -> Iterator[None]:
    """Hold back what the quantiser prints, warns and logs."""
    handler = logging.NullHandler()  # with one in place, the root logger is not given one that prints
    logging.getLogger().addHandler(handler)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.getLogger().removeHandler(handler)


def _reason(error: Exception) -> str:
    line = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
    return line if line.endswith(".") else f"{line}."
