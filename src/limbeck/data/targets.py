"""Labels of regression and multi-label tasks. Shapes: N samples, C values or labels of each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from limbeck.errors import DataError
from limbeck.types import TaskName

WHAT = {
    "regression": "numbers [N] or [N, C], a row of NaN where they are withheld",
    "multi_label": "0 or 1 [N, C], a row of -1 or NaN where they are withheld",
}


def as_targets(values: NDArray[Any], task: TaskName, where: str, row_name: Callable[[int], str]) -> Tensor:
    """Copy labels into float32 [N, C], rows that are withheld as NaN.

    where: what they are, for messages; row_name: says which row that is. Raises DataError for labels of another shape
    or kind, and for rows that are withheld in part.
    """
    values = values[:, None] if values.ndim == 1 and task == "regression" else values
    if values.dtype.kind not in "biuf" or values.ndim != 2 or not values.shape[1]:
        raise DataError(
            f"{where}: labels for {task} must be {WHAT[task]}, but they are {values.dtype} {list(values.shape)}."
        )
    exact = values.astype(np.float64)
    if task == "multi_label":
        exact = np.where(exact == -1, np.nan, exact)
    _refuse(exact, ~np.isnan(exact) & ~_fits(exact, task), f"is no label for {task}: {WHAT[task]}", row_name)
    partly = np.isnan(exact) & ~np.isnan(exact).all(axis=1, keepdims=True)
    _refuse(exact, partly, "stands beside others that are known; a row is withheld as a whole", row_name)
    with np.errstate(over="ignore"):
        return torch.from_numpy(exact.astype(np.float32))


def target_names(count: int, task: TaskName) -> tuple[str, ...]:
    """Return what columns without names of their own are called."""
    if task == "multi_label":
        return tuple(str(label) for label in range(count))
    return ("value",) if count == 1 else tuple(f"value {number}" for number in range(1, count + 1))


def _fits(values: NDArray[np.float64], task: TaskName) -> NDArray[np.bool_]:
    """Say of each number whether it may be a label: finite in 32 bits, or 0 or 1; bool [N, C]."""
    fitting = np.isin(values, (0.0, 1.0)) if task == "multi_label" else np.abs(values) <= np.finfo(np.float32).max
    return fitting


def _refuse(values: NDArray[np.float64], wrong: NDArray[np.bool_], why: str, row_name: Callable[[int], str]) -> None:
    if not wrong.any():
        return
    row, column = (int(place) for place in np.argwhere(wrong)[0])
    count = int(wrong.any(axis=1).sum())
    raise DataError(f"{row_name(row)}: {values[row, column]:g} {why} ({count:,} such rows in all).")
