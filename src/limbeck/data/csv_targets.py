"""The label columns of a table whose task is regression or multi-label."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from limbeck.data.column_kinds import label_column
from limbeck.data.csv_file import NUMBER, TextColumns, is_missing, looks_like, some, table_of
from limbeck.data.table import Columns
from limbeck.data.targets import as_targets
from limbeck.errors import DataError
from limbeck.types import TaskName


def target_columns(text: TextColumns, asked: str | tuple[str, ...] | None, task: TaskName) -> tuple[str, ...]:
    """Return the names of the label columns: those asked for, else for regression the one called label, target, ...

    Raises DataError for a column that is not there, that is named twice, or where it is not known which ones are meant.
    """
    if isinstance(asked, tuple):
        text.require(asked)
        if len(set(asked)) != len(asked):
            raise DataError(f"data.label names a column twice: {', '.join(asked)}.")
        return asked
    if asked is None and task == "multi_label":
        raise DataError(
            f"{text.path}: name the columns of 0 and 1 that are the labels in data.label, some of "
            f"{some(list(text.columns))}."
        )
    return (label_column(text, asked),)


def targets_of(text: TextColumns, columns: Sequence[str], task: TaskName) -> torch.Tensor:
    """Return the cells of label columns, float32 [N, C], rows of empty cells as NaN. Raises DataError for others."""
    for name in columns:
        _refuse_text(text, name, ~is_missing(text[name]) & ~looks_like(text[name], NUMBER), task)
    values = table_of(text, Columns(numbers=tuple(columns), categories=())).numbers
    return as_targets(values, task, str(text.path), lambda row: f"{text.path}, row {row + 2} (the header is row 1)")


def _refuse_text(text: TextColumns, name: str, wrong: NDArray[np.bool_], task: TaskName) -> None:
    if not wrong.any():
        return
    row = int(np.argmax(wrong))
    expected = "a number" if task == "regression" else "0 or 1"
    raise DataError(
        f'{text.place(row, name)}: {expected} was expected for {task}, but it is "{text[name][row].as_py()}" '
        f"({int(wrong.sum()):,} such cells); correct it, or leave it empty where the label is not known."
    )
