"""The search for an int8 file that passes the gate: the known remedies in order, each attempt on record.

Only validation samples decide; N of them, C classes.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limbeck.errors import ExportError
from limbeck.export.gate import Exam, Floats, Judgement, judge, logits_of
from limbeck.export.quantise import PERCENTILE, Calibration, Layer, Setting, layers_of, quantise, quantised_nodes
from limbeck.files import write_bytes

FEW = 64  # samples that are enough to tell which layer suffers most
WORDS: dict[Calibration, str] = {
    "min-max": "smallest and largest value",
    "percentile": f"{PERCENTILE} % of the values",
    "entropy": "least information lost",
}


@dataclass(frozen=True, eq=False)
class Int8Request:
    """samples: raw training inputs [N, ...] that ranges are found on; exam: what a file must pass."""

    samples: NDArray[Any]
    exam: Exam


@dataclass(frozen=True)
class Attempt:
    """did: in words; judgement: None where the file could not be made; bytes: of the file; sentence: the outcome."""

    did: str
    setting: Setting
    judgement: Judgement | None
    bytes: int | None
    sentence: str

    @property
    def passed(self) -> bool:
        """Whether the file may ship."""
        return self.judgement is not None and self.judgement.passed


@dataclass(frozen=True)
class Search:
    """Every attempt, the last of which passed or none; tolerance: 0..1."""

    attempts: tuple[Attempt, ...]
    tolerance: float

    @property
    def passed(self) -> bool:
        """Whether there is a file that may ship."""
        return any(attempt.passed for attempt in self.attempts)

    @property
    def sentence(self) -> str:
        """What came of it."""
        count = len(self.attempts)
        if not count:
            return "No int8 file ships: the graph has no convolution or matrix product that could become int8."
        closest = self.attempts[_best(self.attempts) or 0]
        if self.passed:
            return f"Attempt {count} passed: {closest.did}. {closest.sentence}"
        return f"No int8 file ships: none of {count} attempts passed. The closest: {closest.did}. {closest.sentence}"

    def to_json(self) -> dict[str, Any]:
        """Return the search as JSON; the float layers of each attempt by their names in the graph."""
        return {
            "passed": self.passed,
            "tolerance": self.tolerance,
            "sentence": self.sentence,
            "attempts": [_attempt_json(attempt) for attempt in self.attempts],
        }


def quantise_within(source: Path, target: Path, request: Int8Request) -> Search:
    """Write the first int8 form of a float file that passes the gate; where none does, the one that agrees most.

    The remedies, in order: scales for each channel with min-max ranges; percentile, then entropy ranges; with the
    ranges that did best, the last layer, the first and both in float; then also the 1, 2, 4, ... layers that suffer
    most by measurement, as long as half of the weights stay int8. Nothing is written where no file can be made at all.
    """
    before = logits_of(source, request.exam.inputs)
    attempts: list[Attempt] = []
    with tempfile.TemporaryDirectory() as scratch:
        files: list[Path] = []
        for did, setting in _settings(source, request, before, attempts):
            files.append(Path(scratch) / f"{len(files)}.onnx")
            attempts.append(_attempt(source, files[-1], request, before, did, setting))
            if attempts[-1].passed:
                break
        best = _best(attempts)
        if best is not None:
            write_bytes(target, files[best].read_bytes())
    return Search(tuple(attempts), request.exam.tolerance)


def _settings(
    source: Path, request: Int8Request, before: Floats, attempts: Sequence[Attempt]
) -> Iterator[tuple[str, Setting]]:
    """Yield what to try next, in words and as a setting; attempts: what came of those before."""
    layers = layers_of(source)
    if not layers:
        return
    for calibration, words in WORDS.items():
        yield f"ranges by {words} of {len(request.samples)} training samples", Setting(calibration)
    best = _best(attempts)
    if best is None:
        return
    calibration = attempts[best].setting.calibration
    for kept in left_in_float(layers, lambda: suffering(source, request, before, calibration)):
        names = ", ".join(layer.title for layer in kept)
        yield (
            f"ranges by {WORDS[calibration]}, in float: {names}",
            Setting(calibration, tuple(one.node for one in kept)),
        )


def left_in_float(layers: Sequence[Layer], rank: Callable[[], Sequence[str]]) -> Iterator[tuple[Layer, ...]]:
    """Yield the layers to leave in float, set by set; half of the weights stay int8 in each.

    The last, the first, both; then with them the 1, 2, 4, ... next of rank(), node names, the worst first.
    """
    kept: tuple[Layer, ...] = ()
    for ends in ((layers[-1],), (layers[0],), (layers[0], layers[-1])):
        if is_worth_it(layers, ends):
            kept = ends
            yield ends
    if not is_worth_it(layers, (*kept, min((one for one in layers if one not in kept), key=lambda one: one.weights))):
        return
    by_name = {layer.node: layer for layer in layers}
    rest = [by_name[name] for name in rank() if by_name[name] not in kept]
    count = 1
    while count <= len(rest) and is_worth_it(layers, chosen := (*kept, *rest[:count])):
        yield chosen
        count *= 2


def is_worth_it(layers: Sequence[Layer], kept: Sequence[Layer]) -> bool:
    """Whether at least half of the weights become int8 when some different layers are kept in float."""
    return len(set(kept)) == len(kept) and 2 * sum(one.weights for one in kept) <= sum(one.weights for one in layers)


def suffering(source: Path, request: Int8Request, before: Floats, calibration: Calibration) -> list[str]:
    """Return the layers' node names, the one first that costs the logits most when it alone becomes int8.

    Measured is the signal-to-noise ratio of the logits over at most 64 validation samples; labels are not read.
    """
    inputs, nodes = request.exam.inputs[:FEW], quantised_nodes(source)
    ratios: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "one.onnx"
        for layer in layers_of(source):
            alone = Setting(calibration, tuple(name for name in nodes if name != layer.node))
            try:
                quantise(source, path, request.samples[:FEW], alone)
                ratios[layer.node] = signal_to_noise(before[:FEW], logits_of(path, inputs))
            except ExportError:
                ratios[layer.node] = -np.inf
    return sorted(ratios, key=lambda name: ratios[name])


def signal_to_noise(before: Floats, after: Floats) -> float:
    """Return 10 log10(signal / noise) in decibels of logits [N, C]; minus infinity where a value is not finite."""
    signal = float(np.square(before, dtype=np.float64).sum())
    noise = float(np.square(after.astype(np.float64) - before).sum())
    if not np.isfinite(noise):
        return -np.inf
    return float(10 * np.log10(max(signal, 1e-30) / max(noise, 1e-30)))


def _attempt(source: Path, path: Path, request: Int8Request, before: Floats, did: str, setting: Setting) -> Attempt:
    try:
        quantise(source, path, request.samples, setting)
        judgement = judge(before, logits_of(path, request.exam.inputs), request.exam)
    except ExportError as error:
        return Attempt(did, setting, None, None, str(error))
    return Attempt(did, setting, judgement, path.stat().st_size, judgement.sentence)


def _best(attempts: Sequence[Attempt]) -> int | None:
    """Return the place of the attempt that passed, else of the one that agrees most with the float file."""
    made = [place for place, attempt in enumerate(attempts) if attempt.judgement is not None]
    return max(made, key=lambda place: _merit(attempts[place]), default=None)


def _merit(attempt: Attempt) -> tuple[bool, bool, float]:
    judgement = attempt.judgement
    assert judgement is not None  # of those that were made
    return judgement.passed, judgement.max_abs_error is not None, judgement.agreement


def _attempt_json(attempt: Attempt) -> dict[str, Any]:
    judged = asdict(attempt.judgement) if attempt.judgement is not None else {"passed": False}
    return {
        "did": attempt.did,
        "calibration": attempt.setting.calibration,
        "in_float": list(attempt.setting.in_float),
        "bytes": attempt.bytes,
        **judged,
        "sentence": attempt.sentence,
    }
