"""A file of a teacher's answers by sample id, parquet or CSV.

Shapes: N rows of the file, T classes of the teacher, K classes named in a top-K answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import torch
from torch import Tensor

from limbeck.errors import DataError
from limbeck.teachers.scores import Floats, as_scores, class_number, numbers_of, spread

ID_COLUMNS = ("id", "sample")
LIST_COLUMNS = ("logits", "probabilities", "scores")


@dataclass(frozen=True, eq=False)
class Answers:
    """What a file says. ids: N of them, each once; classes: T names, None where the file has none.

    scores: [N, T] float32, logits or log probabilities; labels: int64 [N] in 0..T-1, for a file of labels alone.
    """

    ids: tuple[str, ...]
    says: Literal["logits", "probs", "labels"]
    classes: tuple[str, ...] | None
    scores: Tensor | None = None
    labels: Tensor | None = None

    @property
    def count(self) -> int:
        """T, the number of classes."""
        return self.scores.shape[1] if self.scores is not None else len(self.classes or ())


def read_answers(path: Path, names: Sequence[str] | None) -> Answers:
    """Read a file of answers; names: of the teacher's classes, which labels are numbered by; None if not known.

    Columns: `id` (or `sample`) and one of: a column for each class; a list `logits`, `probabilities` or `scores`; two
    lists `labels` and `probabilities` (top-K: what they leave of the mass is spread evenly over the other classes);
    `label` (a class name or number). Values in 0..1 whose rows sum to 1 within 0.001 are probabilities, others are
    logits. Several rows of one id are only read from a Limbeck run's predictions: the mean over its seeds. Raises
    DataError for everything that is missing, broken or ambiguous.
    """
    ids, rest = ids_of(path, read_table(path))
    if {"seed", "scores"} <= set(rest.column_names):
        distinct, values = mean_of_seeds(path, ids, rest)
        return _from_values(path, distinct, values, None, "scores")
    check_once(path, ids)
    columns = set(rest.column_names)
    if {"labels", "probabilities"} <= columns:
        listed, chances = (rest.column(name).to_pylist() for name in ("labels", "probabilities"))
        known = _needed(path, names)
        return Answers(ids, "probs", known, spread(path, ids, listed, chances, known))
    lists = [name for name in LIST_COLUMNS if name in columns and is_list(rest.column(name).type)]
    if lists:
        return _from_values(path, ids, numbers_of(path, ids, rest.column(lists[0])), None, lists[0])
    if columns == {"label"}:
        known = _needed(path, names)
        return Answers(ids, "labels", known, labels=_labels(path, ids, rest.column("label").to_pylist(), known))
    return _from_columns(path, ids, rest)


def read_table(path: Path) -> Any:
    """Return the table of a parquet or CSV file; DataError where there is none."""
    if not path.is_file():
        raise DataError(f"teacher.source: there is no file {path}.")
    try:
        if path.suffix.lower() == ".csv":
            text = dict.fromkeys((*ID_COLUMNS, "label"), pa.string())
            table = pyarrow.csv.read_csv(path, convert_options=pyarrow.csv.ConvertOptions(column_types=text))
        else:
            table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path} cannot be read as parquet (or as CSV, if it ends in .csv): {error}") from None
    if not table.num_rows:
        raise DataError(f"{path}: there are no rows in it.")
    return table


def ids_of(path: Path, table: Any) -> tuple[tuple[str, ...], Any]:
    """Return the ids of a table's rows, and its other columns; DataError where it has no ids."""
    name = next((name for name in ID_COLUMNS if name in table.column_names), None)
    if name is None:
        raise DataError(
            f'{path}: a column "id" (or "sample") is needed, but there are {", ".join(table.column_names)}.'
        )
    return tuple(str(value) for value in table.column(name).to_pylist()), table.drop_columns([name])


def _needed(path: Path, names: Sequence[str] | None) -> tuple[str, ...]:
    if names is None:
        raise DataError(f"{path} gives labels; teacher.classes.map also expects teacher.classes.names: [...] for them.")
    return tuple(names)


def is_list(kind: Any) -> bool:
    """Whether a column of a type holds lists."""
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _from_columns(path: Path, ids: Sequence[str], table: Any) -> Answers:
    if table.num_columns < 2:
        raise DataError(
            f"{path}: a column for each class is expected beside the id, or a list logits, probabilities or scores, "
            f"or label; found {', '.join(table.column_names) or 'nothing'}."
        )
    for name in table.column_names:
        kind = table.column(name).type
        if not (pa.types.is_floating(kind) or pa.types.is_integer(kind)):
            raise DataError(f'{path}: the column "{name}" should hold the numbers of one class, but it holds {kind}.')
    values = [table.column(name).to_numpy().astype(np.float32) for name in table.column_names]
    return _from_values(path, ids, np.stack(values, axis=1), tuple(table.column_names), "")


def _from_values(
    path: Path, ids: Sequence[str], values: Floats, classes: tuple[str, ...] | None, column: str
) -> Answers:
    says, scores = as_scores(path, ids, values, column)
    return Answers(tuple(ids), says, classes, scores)


def mean_of_seeds(path: Path, ids: Sequence[str], table: Any) -> tuple[tuple[str, ...], Floats]:
    """Return the distinct ids of one model's predictions in a run, and its scores [N, C], the mean over its seeds."""
    models = set(table.column("model").to_pylist()) if "model" in table.column_names else set()
    if len(models) > 1:
        raise DataError(f"{path}: expected the answers of one model, found {', '.join(sorted(models))}.")
    values = numbers_of(path, ids, table.column("scores"))
    distinct = tuple(dict.fromkeys(ids))
    place = {name: row for row, name in enumerate(distinct)}
    rows = np.array([place[name] for name in ids])
    sums = np.zeros((len(distinct), values.shape[1]))
    np.add.at(sums, rows, values)
    return distinct, (sums / np.bincount(rows)[:, None]).astype(np.float32)


def check_once(path: Path, ids: Sequence[str]) -> None:
    """Raise DataError where an id occurs twice."""
    if len(set(ids)) == len(ids):
        return
    seen: set[str] = set()
    twice = next(name for name in ids if name in seen or seen.add(name))  # type: ignore[func-returns-value]
    raise DataError(f'{path}: the id "{twice}" occurs more than once; one answer for each sample is expected.')


def _labels(path: Path, ids: Sequence[str], values: Sequence[Any], names: Sequence[str]) -> Tensor:
    return torch.tensor([class_number(path, key, value, names) for key, value in zip(ids, values, strict=True)])
