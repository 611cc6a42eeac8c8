"""Tables in CSV files: their rows as samples, whose inputs are made later, when the split is known."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from limbeck.data.bulk import name_some
from limbeck.data.column_kinds import label_column, recognise
from limbeck.data.contents import ReadOptions, Source
from limbeck.data.csv_file import NUMBER, TextColumns, is_missing, looks_like, read_text, table_of
from limbeck.data.csv_targets import target_columns, targets_of
from limbeck.data.samples import Samples
from limbeck.data.table import Columns
from limbeck.errors import DataError, did_you_mean
from limbeck.types import TaskName

Label = str | tuple[str, ...]
"""The class column, or the columns of labels of another task."""

WHOLE = r"^[+-]?\d+(\.0*)?$"


def read_csv(path: Path, options: ReadOptions) -> Source:
    """Read a file (no test split), or a folder with train.csv and perhaps test.csv.

    The class column is that of `label_column`; a row whose cell there is empty has no label. Classes are its values,
    sorted, whole numbers as such. Of other tasks the label columns are those of `target_columns`. Which columns hold
    numbers is decided by the training file. Raises DataError naming file, row and column.
    """
    train_file, test_file, notes = _find(path)
    text = read_text(train_file)
    label = _label(text, options)
    columns, more = recognise(text, label, options.drop, options.categorical)
    classes = class_names(text, label) if isinstance(label, str) else label
    return Source(
        name=f"csv:{path}",
        classes=classes,
        train=_samples(text, columns, _labels(text, label, classes, options.task), "train", label),
        test=None if test_file is None else read_labelled(test_file, columns, label, classes, "test", options.task),
        notes=notes + more,
        label=label,
        task=options.task,
    )


def read_labelled(
    path: Path, columns: Columns, label: Label, classes: Sequence[str], split: str, task: TaskName = "classification"
) -> Samples:
    """Read a file whose columns and classes are known; split: what the ids begin with."""
    text = read_text(path)
    text.require([label] if isinstance(label, str) else label)
    return _samples(text, columns, _labels(text, label, classes, task), split, label)


def read_unlabelled(path: Path, columns: Columns) -> Samples:
    """Read a file, or the train.csv of a folder, whose columns are known; a class column is not needed."""
    text = read_text(training_file(path))
    return _samples(text, columns, torch.full((len(text),), -1), "unlabelled", None)


def training_file(path: Path) -> Path:
    """Return the file to train on: a file itself, or the train.csv of a folder."""
    return _find(path)[0]


def held_out(path: Path) -> Path:
    """Return the file to measure on: a file itself, the test.csv of a folder, or else its train.csv."""
    train, test, _ = _find(path)
    return test or train


def labels_of(text: TextColumns, label: str, classes: Sequence[str]) -> NDArray[np.int64]:
    """Return class numbers, int64 [N], -1 where the cell is empty. Raises DataError for a class that is unknown."""
    numbers = {name: number for number, name in enumerate(classes)}
    found = [-1 if cell == "" else numbers.get(cell, numbers.get(_plain(cell), -2)) for cell in text[label].to_pylist()]
    labels = np.array(found, dtype=np.int64)
    if (labels == -2).any():
        row = int(np.argmax(labels == -2))
        cell = text[label][row].as_py()
        raise DataError(
            f'{text.place(row, label)}: "{cell}" is not one of the classes {name_some(classes)}.'
            f"{did_you_mean(cell, classes)}"
        )
    return labels


def _samples(text: TextColumns, columns: Columns, labels: Tensor, split: str, label: Label | None) -> Samples:
    ids = tuple(f"{split}/{name}" for name in text.ids(label))
    return Samples(torch.zeros(len(text), 0), labels, ids, table_of(text, columns))


def _label(text: TextColumns, options: ReadOptions) -> Label:
    if options.task != "classification":
        return target_columns(text, options.label, options.task)
    if isinstance(options.label, tuple):
        raise DataError(
            "data.label names several columns, but a class stands in one; for several labels or values at once set "
            "data.task: multi_label or regression."
        )
    return label_column(text, options.label)


def _labels(text: TextColumns, label: Label, classes: Sequence[str], task: TaskName) -> Tensor:
    if isinstance(label, str):
        return torch.from_numpy(labels_of(text, label, classes))
    return targets_of(text, label, task)


def class_names(text: TextColumns, label: str) -> tuple[str, ...]:
    """Return the values of the class column, sorted. Raises DataError for one that is empty or holds no classes."""
    cells = text[label]
    there = ~is_missing(cells)
    distinct = sorted(set(cells.filter(pa.array(there)).to_pylist()))
    if not distinct:
        raise DataError(f'{text.path}: the class column "{label}" is empty.')
    whole = bool((looks_like(cells, WHOLE) | ~there).all())
    numeric = bool((looks_like(cells, NUMBER) | ~there).all())
    names = tuple(sorted({_plain(cell) for cell in distinct}, key=int)) if whole else tuple(distinct)
    if (numeric and not whole) or 2 * len(names) > int(there.sum()):
        kind = "numbers" if numeric else "texts"
        raise DataError(
            f'{text.path}: the class column "{label}" holds {len(names):,} different {kind} in {int(there.sum()):,} '
            f"rows, which are no classes; name another column in data.label, turn it into a few classes, or set "
            f"data.task: regression to predict numbers."
        )
    return names


def _plain(cell: str) -> str:
    """Return a whole number without sign and decimals that say nothing, another text as it is."""
    return str(int(cell.partition(".")[0])) if re.match(WHOLE, cell) else cell


def _find(path: Path) -> tuple[Path, Path | None, tuple[str, ...]]:
    """Return the training file, the test file where there is one, and a note about files that are neither."""
    if path.is_file():
        return path, None, ()
    if not path.is_dir():
        raise DataError(f'data.source: there is no file or folder "{path}".')
    train, test = path / "train.csv", path / "test.csv"
    if not train.is_file():
        raise DataError(f'{path}: a file named "train.csv" is needed in this folder, but there is none.')
    others = [file.name for file in sorted(path.glob("*.csv")) if file not in (train, test)]
    note = f"Ignored, being neither train.csv nor test.csv: {name_some(others)}."
    return train, test if test.is_file() else None, (note,) if others else ()
