"""A file of a teacher's answers by sample id, where labels are no classes.

Shapes: N rows of the file, C columns, one for each of the data's targets or labels.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from limbeck.errors import DataError
from limbeck.teachers.answers import Answers, check_once, ids_of, is_list, mean_of_seeds, read_table
from limbeck.teachers.columns import Columns
from limbeck.teachers.scores import Floats, numbers_of

LISTS = ("values", "logits", "probabilities", "scores")


def read_answer_columns(path: Path, columns: Columns) -> Answers:
    """Read values in the user's units, or scores of labels.

    Beside `id` (or `sample`) there is a column by the name of each target or label, or one list of them: `values`, or
    `logits`, `probabilities` or `scores`. Of a Limbeck run's predictions it is the mean over the seeds. Raises
    DataError for what is missing or broken, ModelError for a list of another length.
    """
    table = read_table(path)
    ids, rest = ids_of(path, table)
    if {"seed", "scores"} <= set(rest.column_names):
        ids, values = mean_of_seeds(path, ids, rest)
        called = "values" if columns.scaling else "probabilities"
    else:
        check_once(path, ids)
        called, values = _values(path, ids, rest, columns)
    columns.check(values.shape[1], str(path))
    broken = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if len(broken):
        raise DataError(f'{path}: the answer for "{ids[broken[0]]}" holds a value that is not a finite number.')
    chances = columns.are_chances(values, called)
    if chances and not (values.min() >= 0 and values.max() <= 1):
        raise DataError(f"{path}: probabilities are expected in 0..1; call them logits if they are none.")
    return Answers(tuple(ids), "logits", columns.names, columns.as_logits(values, chances=chances))


def _values(path: Path, ids: tuple[str, ...], table: Any, columns: Columns) -> tuple[str, Floats]:
    """Return what the answers are called and themselves [N, C]."""
    if set(columns.names) <= set(table.column_names):
        return "", np.stack([_numbers(path, name, table.column(name)) for name in columns.names], axis=1)
    lists = [name for name in LISTS if name in table.column_names and is_list(table.column(name).type)]
    if lists:
        return lists[0], numbers_of(path, ids, table.column(lists[0]))
    wanted = "a list values" if columns.scaling else "a list logits or probabilities"
    raise DataError(
        f"{path}: beside the id, columns {', '.join(columns.names)} are expected, or {wanted}; found "
        f"{', '.join(table.column_names) or 'nothing'}."
    )


def _numbers(path: Path, name: str, column: Any) -> Floats:
    if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
        raise DataError(f'{path}: the column "{name}" should hold numbers, but it holds {column.type}.')
    found: Floats = column.to_numpy().astype(np.float32)
    return found
