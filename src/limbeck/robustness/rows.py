"""Corruptions of rows of numbers, such as a table's columns or the features of a vector.

Shapes: B rows, D columns of numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from limbeck.data.hashing import hash64
from limbeck.data.noise import LEVELS, levels, normal
from limbeck.errors import DataError
from limbeck.robustness.corruption import SEVERITIES


@dataclass(frozen=True)
class Draw:
    """What randomness a corruption of rows has. seed: in words; index: int64 [B], of each row; columns: D."""

    seed: str
    index: Tensor
    columns: int

    @property
    def of_rows(self) -> Tensor:
        """A seed for each row, int64 [B]."""
        return self.index ^ hash64(self.seed)

    def of_columns(self) -> Tensor:
        """Return a number in 0..1 for each column, [D], the same in every row."""
        seed = torch.tensor([hash64(f"{self.seed}/columns")], device=self.index.device)
        return (levels(seed, self.columns)[0] + 0.5) / LEVELS


RowChange = Callable[[Tensor, Tensor, float, Draw], Tensor]


@dataclass(frozen=True)
class RowCorruption:
    """One corruption of rows of numbers; see `Corruption`.

    change: makes values [B, D] from those given, the deviation [D] of each column, a strength and the draw; NaN stands
    for what is missing.
    """

    name: str
    family: str
    strengths: tuple[float, float, float, float, float]
    unit: str
    change: RowChange

    def __call__(self, values: Tensor, severity: int, *, deviation: Tensor, seed: int, index: Tensor) -> Tensor:
        """Return values [B, D] corrupted, NaN where they became missing; deviation: [D], of each column in training.

        severity: 1 to 5; index: int64 [B], the hash of each row's id. Raises DataError for another severity or shape.
        """
        if severity not in SEVERITIES:
            raise DataError(f"{self.name}: severity is a whole number from 1 to 5, but it is {severity}.")
        if values.ndim != 2 or deviation.shape != values.shape[1:]:
            raise DataError(
                f"{self.name} works on rows [B, D] with a deviation for each column, but the shapes are "
                f"{list(values.shape)} and {list(deviation.shape)}."
            )
        drawn = Draw(f"{seed}/{self.name}", index, values.shape[1])
        return self.change(values, deviation, self.strengths[severity - 1], drawn)


def _noise(values: Tensor, deviation: Tensor, strength: float, drawn: Draw) -> Tensor:
    return values + normal(drawn.of_rows, drawn.columns) * (strength * deviation)


def _missing(values: Tensor, _: Tensor, strength: float, drawn: Draw) -> Tensor:
    lost = levels(drawn.of_rows, drawn.columns) / LEVELS < strength
    return values.masked_fill(lost, torch.nan)


def _dropped(values: Tensor, _: Tensor, strength: float, drawn: Draw) -> Tensor:
    """Lose whole columns: one at least."""
    order = drawn.of_columns().argsort(stable=True)
    lost = torch.zeros(drawn.columns, dtype=torch.bool, device=values.device)
    lost[order[: max(1, round(strength * drawn.columns))]] = True
    return values.masked_fill(lost, torch.nan)


def _drift(values: Tensor, deviation: Tensor, strength: float, drawn: Draw) -> Tensor:
    """Move every column, all rows alike, up or down."""
    way = torch.where(drawn.of_columns() < 0.5, -1.0, 1.0)
    return values + strength * way * deviation


ROWS = (
    RowCorruption("row_noise", "rows", (0.1, 0.2, 0.4, 0.7, 1.0), "deviations of the column", _noise),
    RowCorruption("missing_values", "rows", (0.05, 0.1, 0.2, 0.3, 0.5), "share of values", _missing),
    RowCorruption("dropped_columns", "rows", (0.05, 0.1, 0.2, 0.35, 0.5), "share of columns", _dropped),
    RowCorruption("drift", "rows", (0.1, 0.25, 0.5, 0.75, 1.0), "deviations of the column", _drift),
)
