"""Run an exported file with ONNX Runtime; torch is not needed.

Shapes: N samples, C classes, or values or labels of each.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias, TypedDict

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from limbeck.errors import ExportError

ERRORS_ONLY = 3  # ONNX Runtime's severity: 0 verbose, 1 info, 2 warning, 3 error, 4 fatal
SECONDS = 0.25  # the longest that one latency setting is measured, warm-up apart
WARM_UPS = 5

Feed: TypeAlias = NDArray[Any] | Mapping[str, NDArray[Any]]
"""What a graph is given: the raw samples [N, ...], or for a table those of each input by its name."""


class Latency(TypedDict):
    """Milliseconds for one sample: the median and the value that 95 % of the runs stay below."""

    threads: int
    p50: float
    p95: float


class Session:
    """An ONNX file that is ready to answer on the CPU.

    threads: of one operator; 0 takes every core. Raises ExportError if the file cannot be loaded.
    """

    def __init__(self, path: Path, *, threads: int = 0) -> None:
        self.path = path
        options = onnxruntime.SessionOptions()
        options.log_severity_level = ERRORS_ONLY
        options.intra_op_num_threads = threads
        try:
            self._session: Any = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's exceptions share no public base class
            raise ExportError(f"{path} cannot be loaded by ONNX Runtime: {_first_line(error)}") from error
        self.input: str = self._session.get_inputs()[0].name
        given = {one.name for one in self._session.get_outputs()}
        self._wanted = ["values"] * 2 if "values" in given else ["logits", "probabilities"]
        self.further: list[str] = [name for name in sorted(given) if name not in self._wanted]

    def logits_and_probabilities(
        self, inputs: Feed, batch_size: int = 256
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return logits [N, C] and probabilities [N, C]; of a file that gives values, those twice.

        inputs: uint8 [N, channels, H, W] for a file that takes pixels, float32 [N, ...] for one that takes
        features; by name for one that takes rows of a table. Raises ExportError if the graph refuses them.
        """
        logits, probabilities = self._ask(inputs, batch_size, self._wanted)
        return logits, probabilities

    def further_logits(self, inputs: Feed, batch_size: int = 256) -> dict[str, NDArray[np.float32]]:
        """Return the other outputs, the logits [N, T] of further tasks, by the output's name; inputs: as above."""
        said = self._ask(inputs, batch_size, self.further) if self.further else []
        return dict(zip(self.further, said, strict=True))

    def _ask(self, inputs: Feed, batch_size: int, wanted: Sequence[str]) -> list[NDArray[np.float32]]:
        named = inputs if isinstance(inputs, Mapping) else {self.input: inputs}
        starts = range(0, max(len(next(iter(named.values()))), 1), batch_size)
        answers = [self._run(_part(named, start, start + batch_size), wanted) for start in starts]
        return [np.concatenate(each) for each in zip(*answers, strict=True)]

    def latency(self, inputs_one: Feed, threads: Sequence[int] = (1,), repeats: int = 200) -> list[Latency]:
        """Time single samples, each setting after a warm-up and for about 0.3 seconds at most.

        inputs_one: [1, ...], one raw sample. threads: the settings to measure. repeats: runs of each.
        """
        named = inputs_one if isinstance(inputs_one, Mapping) else {self.input: inputs_one}
        return [_time(Session(self.path, threads=count), named, count, repeats) for count in threads]

    def _run(
        self, inputs: Mapping[str, NDArray[Any]], wanted: Sequence[str] | None = None
    ) -> list[NDArray[np.float32]]:
        try:
            answers: list[NDArray[np.float32]] = self._session.run(wanted or self._wanted, dict(inputs))
        except Exception as error:  # ONNX Runtime's exceptions share no public base class
            told = " and ".join(f"{one.dtype} inputs of shape {list(one.shape)}" for one in inputs.values())
            raise ExportError(f"{self.path} does not answer {told}: {_first_line(error)}") from error
        return answers


def _part(inputs: Mapping[str, NDArray[Any]], start: int, stop: int) -> dict[str, NDArray[Any]]:
    return {name: values[start:stop] for name, values in inputs.items()}


def _time(session: Session, inputs: Mapping[str, NDArray[Any]], threads: int, repeats: int) -> Latency:
    for _ in range(WARM_UPS):
        session._run(inputs)
    times: list[float] = []
    end = time.perf_counter() + SECONDS
    while len(times) < repeats and (time.perf_counter() < end or not times):
        start = time.perf_counter()
        session._run(inputs)
        times.append((time.perf_counter() - start) * 1000)
    p50, p95 = np.percentile(times, [50, 95])
    return {"threads": threads, "p50": float(p50), "p95": float(p95)}


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0][:200]
