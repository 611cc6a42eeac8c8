"""The graph of an architecture, traced once and good for every model of it.

Shapes: B samples (dynamic, called "batch"), C classes, or values or labels of each. Tracing a model costs most of a
second, filling a trace with the weights of another model a twentieth of it; a run that exports many seeds traces once.
"""

from __future__ import annotations

import copy
import hashlib
import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from limbeck.errors import ExportError
from limbeck.export.ending import SOFTMAX, Ending, output_of
from limbeck.models.adapt import Adapted

Kind = Literal["image", "vector"]

INPUT = {"image": "pixels", "vector": "features"}
LARGEST = 2**31 - 2**20  # bytes of one ONNX file, a little room left for the graph itself
NOISY = ("torch.onnx", "torch.export", "torch.fx.experimental.symbolic_shapes", "onnxscript", "onnx_ir")


@dataclass(frozen=True, eq=False)
class Trace:
    """The unoptimised graph of an architecture: its initialisers still carry the parameters' names."""

    proto: Any
    architecture: str
    kind: Kind
    shape: tuple[int, ...]
    ending: Ending = SOFTMAX

    def fits(self, model: Adapted) -> bool:
        """Say whether a model has this architecture: same modules, parameters, shapes and types."""
        return architecture(model) == self.architecture


def trace_graph(model: Adapted, *, shape: tuple[int, ...], kind: Kind, ending: Ending = SOFTMAX) -> Trace:
    """Trace a model in eval mode on the CPU; see `export_graph` for the arguments and errors."""
    size = sum(value.nbytes for value in state_of(model).values())
    if size > LARGEST:
        raise ExportError(f"The model has {size:,} bytes of weights; one ONNX file holds at most {LARGEST:,}.")
    with reporting(model), quiet(), torch.no_grad():
        name = INPUT[kind]
        dtype = torch.uint8 if kind == "image" else torch.float32
        program = torch.onnx.export(
            Deployed(copy.deepcopy(model).cpu(), kind, 1.0, ending).eval(),
            (torch.zeros(2, *shape, dtype=dtype),),
            dynamo=True,
            dynamic_shapes={"inputs": {0: torch.export.Dim("batch")}},
            input_names=[name],
            output_names=[*ending.outputs, *further_outputs(model).values()],
            verbose=False,
            optimize=False,
        )
        proto = _checked(program, model)
    return Trace(proto, architecture(model), kind, shape, ending)


def architecture(model: nn.Module) -> str:
    """Return a SHA-256 (hex) of a model's modules and of its parameters' names, shapes and types."""
    digest = hashlib.sha256(repr(model).encode())
    for name, module in model.named_modules():
        digest.update(f"{name}:{type(module).__module__}.{type(module).__qualname__};".encode())
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        digest.update(f"{name}:{tuple(tensor.shape)}:{tensor.dtype};".encode())
    return digest.hexdigest()


class Deployed(nn.Module):
    """Raw inputs in, what the ending says out; every number that a seed decides is a tensor in it."""

    temperature: Tensor
    mean: Tensor
    scale: Tensor

    def __init__(self, model: Adapted, kind: Kind, temperature: float, ending: Ending = SOFTMAX) -> None:
        super().__init__()
        self.model = model
        self.kind = kind
        self.head = ending.head
        self.register_buffer("temperature", torch.tensor(temperature))
        if ending.head == "values":
            self.register_buffer("mean", torch.tensor(ending.mean))
            self.register_buffer("scale", torch.tensor(ending.scale))

    def forward(self, inputs: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Return logits and probabilities, or values, [B, C] for pixels [B, channels, H, W] or features [B, ...].

        The logits [B, T] of each further task come after them.
        """
        if self.kind == "image":
            inputs = inputs.to(torch.float32) / 255
        said = self.model(inputs)
        logits: Tensor = said.logits
        if self.head == "values":
            return logits * self.scale + self.mean
        if self.head == "sigmoid":
            return logits, torch.sigmoid(logits / self.temperature)
        further = (said.heads[name] for name in further_outputs(self.model))
        return logits, torch.softmax(logits / self.temperature, dim=1), *further


def further_outputs(model: Adapted) -> dict[str, str]:
    """Return what the file's output is called for each further task that a model answers for, by task."""
    return {} if model.many_heads is None else {name: output_of(name) for name in model.many_heads.tasks}


def state_of(module: nn.Module) -> dict[str, Tensor]:
    """Return every parameter and buffer by name; a shared one appears under each of its names."""
    return {
        **dict(module.named_parameters(remove_duplicate=False)),
        **dict(module.named_buffers(remove_duplicate=False)),
    }


def _checked(program: torch.onnx.ONNXProgram | None, model: Adapted) -> Any:
    """Return the graph of a program; its batch size must be open, which the exporter does not insist on."""
    net = type(model.net).__name__
    if program is None:
        raise ExportError(f"The exporter returned no graph for {net}.")
    proto = program.model_proto
    for entry in [*proto.graph.input, *proto.graph.output]:
        first = entry.type.tensor_type.shape.dim[0]
        if first.HasField("dim_value"):
            raise ExportError(
                f"{net} works for one batch size only: in its graph the first dimension of {entry.name!r} is "
                f"{first.dim_value}. Take the batch size from the input, as in x.flatten(1) or "
                f"x.reshape(len(x), -1)."
            )
    return proto


@contextmanager
def quiet() -> Iterator[None]:
    """Hold back what the exporter warns, logs and prints; its errors still come through."""
    loggers = [logging.getLogger(name) for name in NOISY]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


@contextmanager
def reporting(model: Adapted) -> Iterator[None]:
    """Turn whatever goes wrong in the exporter into an ExportError that names the module."""
    try:
        yield
    except ExportError:
        raise
    except Exception as error:  # the exporter lets any error of the traced code through
        raise ExportError(
            f"{type(model.net).__name__} could not be turned into an ONNX graph: {_reason(error)} Its "
            f"forward pass must work for any batch size, without Python branches on tensor values."
        ) from error


def _reason(error: BaseException) -> str:
    """Return the first line of the error that began it, 200 characters at most, as a sentence."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    line = lines[0][:200] if lines else type(error).__name__
    return line if line.endswith((".", "!", "?")) else f"{line}."
