"""Whether an exported file gives the model's answers, at several batch sizes.

Shapes: N samples, C classes.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from limbeck.data.table import Table
from limbeck.errors import ExportError
from limbeck.export.ending import SOFTMAX, Ending, output_of
from limbeck.export.run_onnx import Feed, Session
from limbeck.models.adapt import Adapted

TOLERANCE = 1e-3  # of the largest logit, or of 1 where every logit is smaller


class Parity(TypedDict):
    """max_abs_error: of the logits. agreement: the share 0..1 of samples with the same top class."""

    max_abs_error: float
    agreement: float
    parity_batches: list[int]


def check_parity(
    model: Adapted,
    path: Path,
    samples: Tensor,
    *,
    batches: Sequence[int] = (1, 2, 7),
    raw: Table | None = None,
    ending: Ending = SOFTMAX,
) -> Parity:
    """Compare a file with its model on the same raw inputs, in batches of each of the given sizes.

    samples: uint8 [N, channels, H, W] pixels or float32 [N, ...] features, N at least 1; a few dozen do. raw: the rows
    that they are made from, for a file that takes rows of a table. ending: of the file; values are compared in the
    user's units, in place of logits.
    Raises ExportError if the largest difference of two logits is above 1e-3 * max(1, largest |logit|).
    """
    rows = _at_least(len(samples), max(batches))
    samples = samples.detach().cpu()[torch.from_numpy(rows)]
    fed = samples.numpy() if raw is None else raw.take(rows).feed()
    expected = ending.first(torch_logits(model, samples))
    session = Session(path, threads=1)
    _check_further(model, session, samples, fed)
    limit = TOLERANCE * max(1.0, float(np.abs(expected).max()))
    worst, agreement = 0.0, 1.0
    for size in batches:
        logits, _ = session.logits_and_probabilities(fed, batch_size=size)
        error = float(np.abs(logits - expected).max())
        if not error <= limit:
            raise ExportError(
                f"{path} does not give the model's answers: in batches of {size} a logit differs by "
                f"{error:.3g}, more than the {limit:.3g} that rounding explains."
            )
        worst = max(worst, error)
        agreement = min(agreement, float((logits.argmax(1) == expected.argmax(1)).mean()))
    return {"max_abs_error": worst, "agreement": agreement, "parity_batches": list(batches)}


def _check_further(model: Adapted, session: Session, samples: Tensor, fed: Feed) -> None:
    """Raise ExportError where a file's logits of a further task are not the model's; fed: samples as it gets them."""
    wanted, found = torch_heads(model, samples), session.further_logits(fed)
    for name, logits in wanted.items():
        error = float(np.abs(found[output_of(name)] - logits).max())
        if not error <= TOLERANCE * max(1.0, float(np.abs(logits).max())):
            raise ExportError(
                f"{session.path} does not give the model's answers in the task {name}: off by {error:.3g}."
            )


def file_parity(reference: Path, candidate: Path, samples: Tensor, *, batches: Sequence[int] = (1, 2, 7)) -> Parity:
    """Measure how far a file is from another one, in batches of each of the given sizes; nothing is refused.

    samples: raw inputs as in `check_parity`. Raises ExportError where one of the files does not answer.
    """
    inputs = samples.numpy()[_at_least(len(samples), max(batches))]
    expected, _ = Session(reference).logits_and_probabilities(inputs)
    session = Session(candidate, threads=1)
    found = [session.logits_and_probabilities(inputs, batch_size=size)[0] for size in batches]
    return {
        "max_abs_error": max(float(np.abs(logits - expected).max()) for logits in found),
        "agreement": min(float((logits.argmax(1) == expected.argmax(1)).mean()) for logits in found),
        "parity_batches": list(batches),
    }


def torch_logits(model: Adapted, samples: Tensor) -> NDArray[Any]:
    """Return the logits [N, C] of a copy of the model in eval mode on the CPU, for raw samples."""
    replica = copy.deepcopy(model).cpu().eval()
    with torch.no_grad():
        chunks = [replica(_floating(chunk)).logits for chunk in torch.split(samples, 256)]
    logits: NDArray[Any] = torch.cat(chunks).numpy()
    return logits


def torch_heads(model: Adapted, samples: Tensor) -> dict[str, NDArray[Any]]:
    """Return the logits [N, T] of each further task as `torch_logits` does, by task."""
    if model.many_heads is None:
        return {}
    replica = copy.deepcopy(model).cpu().eval()
    with torch.no_grad():
        chunks = [replica(_floating(chunk)).heads for chunk in torch.split(samples, 256)]
    return {name: torch.cat([one[name] for one in chunks]).numpy() for name in model.many_heads.tasks}


def _floating(samples: Tensor) -> Tensor:
    return samples.to(torch.float32) / 255 if samples.dtype == torch.uint8 else samples


def _at_least(samples: int, count: int) -> NDArray[np.int64]:
    """Return the number of every sample, again and again until there are enough for one full batch."""
    if samples == 0:
        raise ExportError("An exported file is compared with its model on samples, but none were given.")
    return np.tile(np.arange(samples), -(-count // samples))
