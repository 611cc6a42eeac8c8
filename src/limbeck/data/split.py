"""Deterministic, stratified splits that depend on ids, not on the order of rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from limbeck.data.hashing import hash64_all
from limbeck.errors import DataError

Rows = NDArray[np.int64]


def split(labels: Rows, ids: Sequence[str], *, fraction: float, seed: int) -> tuple[Rows, Rows]:
    """Hold out a fraction (0 < fraction < 1) of each class: (rest rows, held rows), both int64 and ascending.

    labels: int64 [N], -1 stays in the rest. Within a class, samples are held in the order of a hash of
    (seed, id), so that samples added later move few others; each class keeps one at least on either side.
    Raises DataError for a fraction out of range or a class with a single sample.
    """
    if not 0 < fraction < 1:
        raise DataError(f"The held-out fraction must lie between 0 and 1, but it is {fraction}.")
    order = by_hash(ids, seed)
    ordered = labels[order]
    held = [_first_of_class(order[ordered == label], fraction, int(label)) for label in np.unique(labels) if label >= 0]
    held_rows = np.sort(np.concatenate(held)) if held else np.empty(0, dtype=np.int64)
    rest = np.ones(len(labels), dtype=bool)
    rest[held_rows] = False
    return np.flatnonzero(rest).astype(np.int64), held_rows


def by_hash(ids: Sequence[str], seed: int) -> Rows:
    """Order rows by a hash of (seed, id): int64 [N]. Two rows are ordered alike whatever others there are."""
    return np.argsort(hash64_all(ids, salt=f"{seed}/"), kind="stable").astype(np.int64)


def _first_of_class(rows: Rows, fraction: float, label: int) -> Rows:
    if len(rows) < 2:
        raise DataError(
            f"Class {label} has a single sample, so it cannot be both trained on and held out; add samples "
            f"of it or leave the class out with data.classes."
        )
    return rows[: min(max(1, round(fraction * len(rows))), len(rows) - 1)]
