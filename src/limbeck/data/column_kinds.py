"""Which columns of a table hold numbers, which categories, and which are of no use to a model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
import pyarrow.compute as pc

from limbeck.data.csv_file import NUMBER, TextColumns, is_missing, looks_like, some
from limbeck.data.table import Columns
from limbeck.errors import DataError

LABEL_NAMES = ("label", "target", "class", "y")
DATE = r"^(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4})([ T]\d{1,2}:\d{2}.*)?$"
COMMA_NUMBER = r"^[+-]?\d+([.\s]\d{3})*(,\d+)+(\.\d+)?$"
LEAST_COUNTED = 10
DIGITS = 2**24  # whole numbers up to here are exact in 32 bits

Kind = Literal["number", "category", "empty", "date", "count", "unnamed"]

LEFT_OUT = {
    "empty": "has no value at all",
    "date": "holds dates; turn them into numbers, such as a year or days since a start, or name the column in "
    "data.categorical",
    "count": "counts the rows, as an index does",
    "unnamed": "has no name, as an index has none",
}


def label_column(text: TextColumns, asked: str | None) -> str:
    """Return the name of the class column: the one asked for, else the one called label, target, class or y.

    Raises DataError, with the columns that there are, where it is missing or could be one of several.
    """
    if asked is not None:
        text.require([asked])
        return asked
    found = [name for name in text.columns if name.lower() in LABEL_NAMES]
    if len(found) == 1:
        return found[0]
    problem = (
        f"{some(found)} could each be the class column" if found else "no column is called label, target, class or y"
    )
    raise DataError(f"{text.path}: {problem}; name it by --label or data.label, one of {some(list(text.columns))}.")


def recognise(
    text: TextColumns, label: str | tuple[str, ...], drop: Sequence[str] = (), categorical: Sequence[str] = ()
) -> tuple[Columns, tuple[str, ...]]:
    """Return the columns that a model may learn from, and a note for each that was left out on its own account.

    label: the class column, or the label columns; drop: columns to leave out; categorical: columns whose numbers are
    names. Raises DataError for a column that does not exist, and for one that holds numbers in a form that cannot be
    read.
    """
    text.require((*drop, *categorical))
    labels = (label,) if isinstance(label, str) else label
    if taken := [name for name in labels if name in (*drop, *categorical)]:
        raise DataError(f'data.drop and data.categorical are for features, but "{taken[0]}" is the class column.')
    names = [name for name in text.columns if name not in (*labels, *drop)]
    kinds: dict[str, Kind] = {name: "category" if name in categorical else kind_of(text, name) for name in names}
    columns = Columns(
        numbers=tuple(name for name in names if kinds[name] == "number"),
        categories=tuple(name for name in names if kinds[name] == "category"),
    )
    if not columns.names:
        raise DataError(f'{text.path}: there is no column to learn from beside the class column "{", ".join(labels)}".')
    return columns, tuple(_notes(text, kinds))


def kind_of(text: TextColumns, name: str) -> Kind:
    """Return what a column holds; raises DataError where most cells, but not all, are numbers."""
    cells, missing = text[name], is_missing(text[name])
    there = int((~missing).sum())
    if not name or not there:
        return "empty" if name else "unnamed"
    number = looks_like(cells, NUMBER)
    if bool((number | missing).all()):
        return "count" if _counts(cells, there) else "number"
    if 2 * int(number.sum()) > there:
        row = int(np.flatnonzero(~number & ~missing)[0])
        raise DataError(
            f'{text.place(row, name)}: "{cells[row].as_py()}" is not a number, but {int(number.sum()):,} of the '
            f"column's {there:,} values are; correct it, leave it empty, or name the column in data.categorical."
        )
    if 2 * int(looks_like(cells, DATE).sum()) > there:
        return "date"
    _refuse_commas(text, name, there)
    return "category"


def _counts(cells: Any, there: int) -> bool:
    """Whether whole numbers go up by 1 from row to row."""
    if there != len(cells) or there < LEAST_COUNTED or not bool(looks_like(cells, r"^\d{1,15}$").all()):
        return False
    values = pc.cast(cells, "int64").to_numpy()
    return bool((np.diff(values) == 1).all())


def _refuse_commas(text: TextColumns, name: str, there: int) -> None:
    found = looks_like(text[name], COMMA_NUMBER)
    if 2 * int(found.sum()) <= there:
        return
    row = int(np.flatnonzero(found)[0])
    raise DataError(
        f'{text.place(row, name)}: "{text[name][row].as_py()}" looks like a number with a comma; write a point before '
        f"decimals and nothing between thousands, or name the column in data.categorical."
    )


def _notes(text: TextColumns, kinds: dict[str, Kind]) -> Iterator[str]:
    for name, kind in kinds.items():
        if kind in LEFT_OUT:
            yield f'The column "{name}" was left out: it {LEFT_OUT[kind]}.'
        elif kind == "number" and _is_coarse(text[name]):
            yield (
                f'The column "{name}" has numbers that 32 bits (7 digits) cannot tell apart; subtract a constant from '
                f"them, or name the column in data.categorical."
            )


def _is_coarse(cells: Any) -> bool:
    """Whether different numbers become one when they are rounded to 32 bits."""
    values = pc.cast(cells.filter(pc.not_equal(cells, "")), "float64").to_numpy()
    if not len(values) or np.abs(values).max() < DIGITS:
        return False
    with np.errstate(over="ignore"):
        return len(np.unique(values.astype(np.float32))) < len(np.unique(values))
