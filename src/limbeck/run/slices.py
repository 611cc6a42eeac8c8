"""Slices: parts of the test samples that a user would name, and how a model fares on each of them.

Shapes: S seeds, N samples.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from limbeck.data.preprocess import Preprocessing
from limbeck.data.samples import Samples
from limbeck.data.table import Table
from limbeck.evaluate.intervals import rate
from limbeck.run.answers import Floats, entry
from limbeck.run.corrupted import are_pictures
from limbeck.run.exam import Exam
from limbeck.run.robust import Context, judged_together

Bools = NDArray[np.bool_]
SHARE = 0.25  # of the samples, that is called their darkest, their lowest and so on
FEWEST = 20  # samples of a slice
MOST = 24  # slices
CHUNK = 4096  # pictures that are looked at together


@dataclass(frozen=True, eq=False)
class Slice:
    """name: what its samples have in common; rows: which those are, bool [N]."""

    name: str
    rows: Bools


def slices_of(samples: Samples, learned: Preprocessing | None) -> list[Slice]:
    """Return slices of pictures by brightness and contrast, or of a table's rows by its columns; none of vectors.

    A table's first columns come first, up to MOST slices in all; learned: its preprocessing. Slices may overlap.
    """
    if are_pictures(samples):
        found = list(_of_pictures(samples))
    elif samples.raw is not None and learned is not None:
        found = list(_of_table(samples.raw.choose(learned.columns)))
    else:
        found = []
    return [one for one in found if FEWEST <= one.rows.sum() < len(samples)][:MOST]


def describe_slices(exam: Exam, right: Mapping[str, Floats], context: Context) -> dict[str, Any]:
    """Return the report's part on slices; right: by subject, whether clean samples are right, 0 or 1 [S, N].

    Verdicts are the student's against the control of the run's own verdict, corrected together.
    """
    found = slices_of(exam.samples, exam.learned)
    models = {subject.key for subject in exam.subjects if subject.role != "file"}
    asked = {one.name: {key: right[key][:, one.rows] for key in models} for one in found}
    return {
        "slices": [{"name": one.name, "samples": int(one.rows.sum())} for one in found],
        "models": {
            key: {one.name: entry(rate(values[:, one.rows]), True) for one in found} for key, values in right.items()
        },
        "verdicts": [
            {"slice": name, **verdict} for name, verdict in judged_together(asked, context, "accuracy").items()
        ],
    }


def _of_pictures(samples: Samples) -> Iterator[Slice]:
    """Yield the darkest and the brightest pictures, and those of least and of most contrast."""
    rows = torch.arange(len(samples), device=samples.device)
    looked = [_looks(samples, part) for part in torch.split(rows, CHUNK)]
    brightness, contrast = np.concatenate(looked, axis=1)
    yield from _ends(brightness, "darkest", "brightest")
    yield from _ends(contrast, "least contrast", "most contrast")


def _looks(samples: Samples, rows: torch.Tensor) -> Floats:
    """Return mean and standard deviation of the pixels of some pictures, [2, R]."""
    pixels = samples.batch(rows).inputs.double().flatten(1)
    found: Floats = torch.stack([pixels.mean(dim=1), pixels.std(dim=1, unbiased=False)]).cpu().numpy()
    return found


def _of_table(table: Table) -> Iterator[Slice]:
    for name, values in zip(table.columns.categories, table.categories.T, strict=True):
        for text in sorted(set(values.tolist())):
            yield Slice(f"{name} is {text}" if text else f"{name} is missing", np.asarray(values == text))
    for name, values in zip(table.columns.numbers, table.numbers.T, strict=True):
        missing = np.isnan(values)
        yield from _ends(np.where(missing, np.nanmedian(values) if not missing.all() else 0.0, values),
                         f"{name} lowest", f"{name} highest")  # fmt: skip
        yield Slice(f"{name} is missing", missing)


def _ends(values: NDArray[Any], low: str, high: str) -> Iterator[Slice]:
    """Yield the quarters of samples with the lowest and the highest values, none where those are the same for most."""
    below, above = np.quantile(values, [SHARE, 1 - SHARE])
    if below < above:
        yield Slice(f"{low} quarter", np.asarray(values <= below))
        yield Slice(f"{high} quarter", np.asarray(values >= above))
