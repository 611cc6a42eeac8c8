"""A teacher in an ONNX file, whichever framework it comes from.

Shapes: B samples in the batch, T classes of the teacher. Nothing but the graph's operators is run.
"""

from __future__ import annotations

import copy
import hashlib
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor

from limbeck.errors import ModelError
from limbeck.teachers.base import Teacher
from limbeck.teachers.columns import PROVIDES as COLUMNS
from limbeck.teachers.columns import Columns
from limbeck.teachers.feeding import Feeding, Layout, feed
from limbeck.teachers.scores import logarithms, look_like_probabilities
from limbeck.teachers.stored import PROVIDES
from limbeck.types import Batch, Knowledge

ERRORS_ONLY = 3  # ONNX Runtime's severity: 0 verbose, 1 info, 2 warning, 3 error, 4 fatal
TYPES = {
    "tensor(float)": np.float32, "tensor(uint8)": np.uint8, "tensor(float16)": np.float16, "tensor(double)": np.float64,
}  # fmt: skip
NAMES = ("logits", "probabilities", "output")  # of outputs, the first that is there
TIMED_RUNS, TIMED_SECONDS, WARM_UPS = 200, 0.25, 5


class OnnxTeacher(Teacher):
    """A graph run by ONNX Runtime on the CPU.

    sample: inputs [n, ...] as batches have them, by which the graph is tried out: its output is that called logits,
    probabilities or output, or else the only one [B, T]; rows that sum to 1 are probabilities, others logits. Raises
    ModelError for a file that cannot be loaded, fed or understood. columns: what it answers where labels are no
    classes: its output is then called values, logits, probabilities or output.
    """

    def __init__(self, path: Path, sample: Tensor, feeding: Feeding, columns: Columns | None = None) -> None:
        self.path, self.feeding, self.columns = path, feeding, columns
        self._session = _open(path, torch.get_num_threads())
        self._input = _only_input(path, self._session)
        self._layout = _layout(self._input.shape, tuple(sample.shape[1:]), feeding)
        self._output: str | None = None
        self._output = self._find_output(self._run(sample))
        values = self._run(sample)[self._output]
        self._chances = self._are_chances(values)
        self.provides, self.classes = PROVIDES["probs" if self._chances else "logits"], values.shape[1]
        if columns is not None:
            columns.check(self.classes, str(path))
            self.provides = COLUMNS
        self.fingerprint = self._hash()

    def current_fingerprint(self) -> str:
        """Return the fingerprint: a loaded graph cannot change."""
        return self.fingerprint

    def __call__(self, batch: Batch) -> Knowledge:
        """Return logits or log probabilities [B, T] for the batch's inputs, on their device."""
        assert self._output is not None
        values = self._run(batch.inputs)[self._output]
        self.asked += len(values)
        if not np.isfinite(values).all():
            raise ModelError(f"{self.path} gives values that are not finite numbers; check what it is fed with.")
        return Knowledge(logits=self._scores(values).to(batch.inputs.device))

    def latency(self, inputs: Tensor) -> list[dict[str, float]]:
        """Return {threads, p50, p95}: milliseconds for one sample [1, ...], with one thread and with those in use."""
        each = {count: self._with_threads(count) for count in sorted({1, torch.get_num_threads()})}
        return [time_one(lambda one=one: one._run(inputs), count) for count, one in each.items()]  # type: ignore[misc]

    def _are_chances(self, values: NDArray[Any]) -> bool:
        """Whether the output holds probabilities."""
        assert self._output is not None
        if self.columns is not None:
            return self.columns.are_chances(values, self._output)
        certain = {"logits": False, "probabilities": True}
        return certain.get(self._output, look_like_probabilities(values))

    def _scores(self, values: NDArray[Any]) -> Tensor:
        if self.columns is not None:
            return self.columns.as_logits(values, chances=self._chances)
        return logarithms(values) if self._chances else torch.from_numpy(values)

    def _with_threads(self, count: int) -> OnnxTeacher:
        other = copy.copy(self)
        other._session = _open(self.path, count)
        return other

    def _run(self, inputs: Tensor) -> dict[str, NDArray[Any]]:
        """Return every output for the inputs, in the batch size that the graph has if it has one."""
        fed = feed(inputs, self.feeding, self._layout, TYPES[self._input.type])
        fixed = self._input.shape[0]
        size = fixed if isinstance(fixed, int) else max(len(fed), 1)
        parts = [self._answer(_padded(fed[start : start + size], size)) for start in range(0, len(fed), size)]
        names = [self._output] if self._output else [one.name for one in self._session.get_outputs()]
        return {
            name: np.concatenate([part[place] for part in parts])[: len(fed)]
            for place, name in enumerate(names)
            if all(isinstance(part[place], np.ndarray) and part[place].ndim for part in parts)
        }

    def _answer(self, fed: NDArray[Any]) -> list[Any]:
        try:
            found: list[Any] = self._session.run([self._output] if self._output else None, {self._input.name: fed})
        except Exception as error:  # ONNX Runtime's exceptions share no public base class
            raise ModelError(
                f"{self.path} cannot take this data: it expects {self._input.type} {self._input.shape}, got "
                f"{fed.dtype} {list(fed.shape)} ({_first_line(error)}). teacher.input has layout, scale and size."
            ) from error
        return [_plain(value, None if self.columns is None else len(fed)) for value in found]

    def _find_output(self, outputs: dict[str, NDArray[Any]]) -> str:
        least = 2 if self.columns is None else 1
        floats = {n: v.shape for n, v in outputs.items() if v.dtype.kind == "f" and v.ndim == 2 and v.shape[1] >= least}
        names = NAMES if self.columns is None else self.columns.answers
        named = [name for name in names if name in floats]
        if named or len(floats) == 1:
            return named[0] if named else next(iter(floats))
        told = ", ".join(f"{name} {list(value.shape)} {value.dtype}" for name, value in outputs.items())
        raise ModelError(
            f"{self.path} should have one output [batch, classes], or one of several called {' or '.join(names[:-1])}; "
            f"it has {told or 'no tensors (a scikit-learn model is exported with zipmap=False)'}."
        )

    def _hash(self) -> str:
        feeding, normalise = self.feeding, self.feeding.normalise
        statistics = normalise and [normalise.mean.tolist(), normalise.std.tolist()]
        told = [feeding.layout, feeding.scale, feeding.size, self._output, statistics]
        with self.path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256")
        digest.update(json.dumps(told).encode())
        return digest.hexdigest()


def time_one(answer: Callable[[], object], threads: int) -> dict[str, float]:
    """Return {threads, p50, p95}: the milliseconds that an answer takes; threads: in use, told as they are."""
    for _ in range(WARM_UPS):
        answer()
    times: list[float] = []
    while len(times) < TIMED_RUNS and sum(times) < TIMED_SECONDS:
        start = time.perf_counter()
        answer()
        times.append(time.perf_counter() - start)
    low, high = np.percentile(times, [50, 95]) * 1000
    return {"threads": threads, "p50": round(float(low), 4), "p95": round(float(high), 4)}


def _open(path: Path, threads: int) -> Any:
    if not path.is_file():
        raise ModelError(f"teacher.source: there is no file {path}.")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = ERRORS_ONLY
    options.intra_op_num_threads = threads
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's exceptions share no public base class
        raise ModelError(f"{path} cannot be loaded by ONNX Runtime: {_first_line(error)}") from error


def _only_input(path: Path, session: Any) -> Any:
    inputs = session.get_inputs()
    if len(inputs) != 1 or inputs[0].type not in TYPES or len(inputs[0].shape) < 2:
        told = ", ".join(f"{one.name} {one.type} {one.shape}" for one in inputs)
        raise ModelError(f"{path} should have one input [batch, ...] of uint8 or float; it has {told or 'none'}.")
    return inputs[0]


def _layout(wanted: Sequence[Any], shape: tuple[int, ...], feeding: Feeding) -> Layout:
    """Return how samples of a shape fit a graph's input shape, whose free sizes are names or None."""
    if len(wanted) == 2 and len(shape) > 1:
        return "flat"
    if feeding.layout is not None or len(wanted) != 4 or len(shape) != 3:
        return feeding.layout or "nchw"
    channels, height, width = (shape[0], *(feeding.size or shape[1:]))
    first, last = (
        all(size == own for size, own in zip(wanted[1:], order, strict=True) if isinstance(size, int))
        for order in ((channels, height, width), (height, width, channels))
    )
    return "nhwc" if last and not first else "nchw"


def _padded(values: NDArray[Any], size: int) -> NDArray[Any]:
    """Return a batch [n, ...] filled up to a size with its last row."""
    return values if len(values) == size else np.concatenate([values, np.repeat(values[-1:], size - len(values), 0)])


def _plain(value: Any, rows: int | None) -> Any:
    """Return float outputs as float32, and where rows are given, one value [rows] for each as [rows, 1]."""
    if not isinstance(value, np.ndarray) or value.dtype.kind != "f":
        return value
    single = value.astype(np.float32)
    return single[:, None] if rows is not None and value.shape == (rows,) else single


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0][:200]
