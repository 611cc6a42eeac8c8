"""Rows of a table as they were read: columns of numbers and columns of categories, by name.

Shapes: N rows, n columns of numbers, m columns of categories.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

MISSING = ("", "?", "NA", "N/A", "NaN", "nan", "NULL", "null")
"""Cells that say nothing."""


@dataclass(frozen=True)
class Columns:
    """The names of the columns in their order, those of numbers and those of categories."""

    numbers: tuple[str, ...]
    categories: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """All of them, numbers first."""
        return self.numbers + self.categories


@dataclass(frozen=True, eq=False)
class Table:
    """N rows. numbers: float32 [N, n], NaN where missing; categories: text [N, m] as objects, "" where missing."""

    columns: Columns
    numbers: NDArray[np.float32]
    categories: NDArray[np.object_]

    def __len__(self) -> int:
        return len(self.numbers)

    def take(self, rows: NDArray[np.int64]) -> Table:
        """Return the rows of these numbers (int64 [R])."""
        return Table(self.columns, self.numbers[rows], self.categories[rows])

    def choose(self, columns: Columns) -> Table:
        """Return some of the columns, in the given order."""
        numbers = [self.columns.numbers.index(name) for name in columns.numbers]
        categories = [self.columns.categories.index(name) for name in columns.categories]
        return Table(columns, self.numbers[:, numbers], self.categories[:, categories])

    def feed(self) -> dict[str, NDArray[Any]]:
        """Return what an exported graph takes: "numbers" and "categories", either left out without such a column."""
        parts: dict[str, NDArray[Any]] = {"numbers": self.numbers, "categories": self.categories}
        return {name: values for name, values in parts.items() if values.shape[1]}


def join(tables: Sequence[Table]) -> Table:
    """Return the rows of tables with the same columns one after the other."""
    numbers = np.concatenate([table.numbers for table in tables])
    return Table(tables[0].columns, numbers, np.concatenate([table.categories for table in tables]))
