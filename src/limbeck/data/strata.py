"""What a split is balanced by: the classes themselves, or a stand-in where labels are values or several at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BINS = 10
LEAST = 10  # samples of a bin


def strata_of(labels: NDArray[np.generic]) -> NDArray[np.int64]:
    """Return the stratum of each sample, int64 [N], -1 where its labels are withheld.

    labels: class numbers [N], which stand for themselves; values [N, C], of which the first column is cut into at most
    ten equally full bins; labels of 0 or 1 [N, C], where a sample counts under the rarest one it has, so that each
    split has some of it.
    """
    if labels.ndim == 1:
        return labels.astype(np.int64)
    values = labels.astype(np.float64)
    there = ~np.isnan(values).any(axis=1)
    found = np.full(len(values), -1, dtype=np.int64)
    if there.any():
        yes_or_no = bool(np.isin(values[there], (0.0, 1.0)).all())
        found[there] = _together(_rarest(values[there]) if yes_or_no else _bins(values[there, 0]))
    return found


def _bins(values: NDArray[np.float64]) -> NDArray[np.int64]:
    count = max(1, min(BINS, len(values) // LEAST))
    edges = np.quantile(values, np.arange(1, count) / count)
    return np.searchsorted(edges, values, side="right").astype(np.int64)


def _rarest(labels: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return for each row of 0 and 1 the rarest label that is 1, and their number where none is."""
    order = np.argsort(labels.sum(axis=0), kind="stable")
    sorted_labels = np.concatenate([labels[:, order], np.ones((len(labels), 1))], axis=1)
    found: NDArray[np.int64] = np.append(order, len(order))[sorted_labels.argmax(axis=1)].astype(np.int64)
    return found


def _together(strata: NDArray[np.int64]) -> NDArray[np.int64]:
    """Put a stratum of a single sample, which cannot be divided, to the largest one."""
    counts = np.bincount(strata)
    found: NDArray[np.int64] = np.where(counts[strata] < 2, int(counts.argmax()), strata)
    return found
