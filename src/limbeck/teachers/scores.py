"""Numbers of an answer file as scores: logits, or log probabilities.

Shapes: N rows of the file, T classes of the teacher, K classes named in a top-K answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray
from torch import Tensor

from limbeck.errors import DataError, did_you_mean

Floats = NDArray[np.float32]
TOLERANCE = 1e-3  # how far a row of probabilities may be from summing to 1
SMALLEST = 1e-12  # a probability below it counts as this one


def look_like_probabilities(values: Floats) -> bool:
    """Whether all values [N, T] are in 0..1 and every row sums to 1 within 0.001."""
    if values.min() < 0 or values.max() > 1 + TOLERANCE:
        return False
    return bool((np.abs(values.sum(axis=1, dtype=np.float64) - 1) <= TOLERANCE).all())


def logarithms(probabilities: Floats) -> Tensor:
    """Return log probabilities [N, T], float32; what is below 1e-12 counts as 1e-12."""
    return torch.from_numpy(probabilities).clamp_min(SMALLEST).log()


def as_scores(path: Path, ids: Sequence[str], values: Floats, column: str) -> tuple[Literal["logits", "probs"], Tensor]:
    """Return what values [N, T] are, and the scores that they make.

    column: "probabilities" and "logits" say what they hold; for others the values decide. Raises DataError for a value
    that is not a finite number, and for probabilities that are none.
    """
    broken = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if len(broken):
        raise DataError(f'{path}: the answer for "{ids[broken[0]]}" holds a value that is not a finite number.')
    if values.shape[1] < 2:
        raise DataError(f"{path}: answers for two classes at least are expected, got {values.shape[1]}.")
    fit = look_like_probabilities(values)
    if column == "probabilities" and not fit:
        raise DataError(
            f"{path}: probabilities are expected in 0..1, each row with the sum 1; call them logits if not."
        )
    if column == "logits" or not fit:
        return "logits", torch.from_numpy(np.ascontiguousarray(values))
    return "probs", logarithms(np.ascontiguousarray(values))


def numbers_of(path: Path, ids: Sequence[str], column: Any) -> Floats:
    """Return a list column as [N, T]. Raises DataError for lists of several lengths or without numbers."""
    lengths = {length or 0 for length in pc.list_value_length(column).to_pylist()}
    if len(lengths) > 1:
        raise DataError(f"{path}: every answer should be a list of one length, but there are {sorted(lengths)}.")
    flat = pc.list_flatten(column)
    if not (pa.types.is_floating(flat.type) or pa.types.is_integer(flat.type)):
        raise DataError(f"{path}: the answers should be lists of numbers, but they hold {flat.type}.")
    values: Floats = flat.to_numpy().astype(np.float32).reshape(len(ids), -1)
    return values


def spread(
    path: Path, ids: Sequence[str], labels: Sequence[Any], probabilities: Sequence[Any], names: Sequence[str]
) -> Tensor:
    """Return top-K answers as log probabilities [N, T], T = len(names).

    labels, probabilities: K classes (names or numbers) and their probabilities in each row. What they leave of the
    mass is spread evenly over the classes that are not listed. Raises DataError where they do not fit.
    """
    values = np.zeros((len(ids), len(names)), dtype=np.float32)
    for row, (key, listed, chances) in enumerate(zip(ids, labels, probabilities, strict=True)):
        numbers = [class_number(path, key, name, names) for name in listed or ()]
        shares = np.array(chances or (), dtype=np.float64)
        _check_listed(path, key, numbers, shares)
        others = len(names) - len(numbers)
        left = max(1 - shares.sum(), 0.0)
        values[row] = left / others if others else 0.0
        values[row, numbers] = shares
    return logarithms(values)


def class_number(path: Path, key: str, value: Any, names: Sequence[str]) -> int:
    """Return the number of a class that is given by its name, or by its number. key: the sample's id."""
    text = str(value)
    if text in names:
        return names.index(text)
    if text.isdecimal() and int(text) < len(names):
        return int(text)
    raise DataError(
        f'{path}: the label {value!r} of "{key}" is no class: {", ".join(names[:8])}'
        f"{', ...' if len(names) > 8 else ''}.{did_you_mean(text, names)}"
    )


def _check_listed(path: Path, key: str, numbers: Sequence[int], shares: NDArray[np.float64]) -> None:
    if len(numbers) != len(shares) or not len(numbers):
        raise DataError(f'{path}: "{key}" has {len(numbers)} labels and {len(shares)} probabilities.')
    if len(set(numbers)) != len(numbers):
        raise DataError(f'{path}: "{key}" names a class twice among its labels.')
    if not np.isfinite(shares).all() or shares.min() < 0 or shares.sum() > 1 + TOLERANCE:
        raise DataError(f'{path}: the probabilities of "{key}" should be in 0..1 with a sum of at most 1.')
