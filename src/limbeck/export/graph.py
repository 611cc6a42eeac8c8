"""A model as an ONNX file that takes raw pixels or features and gives logits and probabilities, or values.

Shapes: B samples (dynamic in the file, called "batch"), C classes, or values or labels of each.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import onnxscript.optimizer
import onnxscript.rewriter
from torch import nn

from limbeck.errors import ExportError
from limbeck.export.ending import SOFTMAX, Ending
from limbeck.export.trace import Deployed, Kind, Trace, quiet, reporting, state_of, trace_graph
from limbeck.files import write_bytes
from limbeck.models.adapt import Adapted


def export_graph(
    model: Adapted,
    path: Path,
    *,
    shape: tuple[int, ...],
    kind: Kind,
    temperature: float = 1.0,
    trace: Trace | None = None,
    ending: Ending = SOFTMAX,
) -> None:
    """Write a model to one ONNX file, atomically; the model itself is not touched.

    shape: of one sample, (channels, height, width) for an image. The file takes "pixels" uint8 [B, C, H, W]
    (divided by 255 inside) or "features" float32 [B, *shape], normalises as the model does, and gives
    "logits" [B, C] and "probabilities" [B, C] = softmax(logits / temperature), temperature above 0, or what another
    ending says.
    trace: of an equal architecture, reused if it fits. Raises ExportError when the model cannot be traced
    or is larger than an ONNX file may be, DiskError when the file cannot be written.
    """
    if not (0 < temperature < float("inf")):
        raise ExportError(f"The temperature of the probabilities must be above 0, got {temperature}.")
    if trace is None or (trace.kind, trace.shape, trace.ending) != (kind, shape, ending) or not trace.fits(model):
        trace = trace_graph(model, shape=shape, kind=kind, ending=ending)
    with reporting(model), quiet():
        proto = _fill(trace.proto, Deployed(model, kind, temperature, ending))
        proto = onnxscript.optimizer.optimize(proto)
        proto = onnxscript.optimizer.optimize(onnxscript.rewriter.rewrite(proto))
        _strip(proto)
        onnx.checker.check_model(proto)
    write_bytes(path, proto.SerializeToString(deterministic=True))


def _fill(traced: Any, module: nn.Module) -> Any:
    """Return a copy of a traced graph with the values of a module's parameters and buffers."""
    proto = onnx.ModelProto()
    proto.CopyFrom(traced)
    state = state_of(module)
    for initialiser in proto.graph.initializer:
        tensor = state.get(initialiser.name)
        if tensor is not None:
            value = tensor.detach().cpu().contiguous().numpy()
            initialiser.CopyFrom(onnx.numpy_helper.from_array(value, initialiser.name))
    return proto


def _strip(proto: Any) -> None:
    """Remove what the exporter notes about the source: file paths of this machine and debugging text."""
    graph = proto.graph
    values = [*graph.input, *graph.output, *graph.value_info]
    for holder in [proto, graph, *graph.node, *values, *graph.initializer]:
        holder.ClearField("metadata_props")
        holder.ClearField("doc_string")
