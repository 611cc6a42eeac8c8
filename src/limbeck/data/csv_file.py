"""A CSV file with a header, as columns of text, and the cells of some columns as numbers or categories."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
from numpy.typing import NDArray

from limbeck.data.hashing import content_hash, number_repeats
from limbeck.data.table import MISSING, Columns, Table
from limbeck.errors import DataError, did_you_mean

SEPARATORS = ",;\t|"
NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
NAMED_AT_MOST = 20


@dataclass(frozen=True, eq=False)
class TextColumns:
    """What a file holds: its columns by name, each an array of N texts without spaces around them, "" where missing."""

    path: Path
    columns: dict[str, Any]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def __getitem__(self, name: str) -> Any:
        """Return a column that is there."""
        return self.columns[name]

    def require(self, names: Sequence[str]) -> None:
        """Raise DataError, with the columns that there are, if one of these is missing."""
        absent = [name for name in names if name not in self.columns]
        if absent:
            quoted = ", ".join(f'"{name}"' for name in absent[:NAMED_AT_MOST])
            near = did_you_mean(absent[0], self.columns)
            told = f"column {quoted}" if len(absent) == 1 else f"columns {quoted}"
            raise DataError(f"{self.path}: there is no {told}; there are {some(list(self.columns))}.{near}")

    def ids(self, label: str | tuple[str, ...] | None) -> list[str]:
        """Return a hash of what each row says beside its label; a repeat gets a number behind it.

        Columns that no model sees count too, so that leaving one out moves no row to another split.
        """
        labels = label if isinstance(label, tuple) else (label,)
        columns = [self.columns[name].to_pylist() for name in sorted(self.columns) if name not in labels]
        return number_repeats(content_hash("\0".join(row).encode()) for row in zip(*columns, strict=True))

    def place(self, row: int, name: str) -> str:
        """Return where a cell is, rows counted as a spreadsheet does; row: counted from 0 below the header."""
        return f'{self.path}, row {row + 2} (the header is row 1), column "{name}"'


def read_text(path: Path) -> TextColumns:
    """Read a file whose first row names the columns; they are separated by comma, semicolon, tab or bar.

    Raises DataError for a file that is missing, empty, not UTF-8, ragged, without a header or with a name twice.
    """
    separator, header = _header(path)
    names = [name.strip() for name in header]
    _check_names(path, names)
    try:
        found = pacsv.read_csv(
            path,
            read_options=pacsv.ReadOptions(use_threads=False),  # else a broken row has no number
            parse_options=pacsv.ParseOptions(delimiter=separator, newlines_in_values=True),
            convert_options=pacsv.ConvertOptions(
                column_types=dict.fromkeys(header, pa.string()), null_values=[], strings_can_be_null=False
            ),
        )
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: cannot be read as a table: {str(error).splitlines()[0][:200]}.") from None
    if not found.num_rows:
        raise DataError(f"{path}: there is no row below the header.")
    return TextColumns(path, {name: _cells(found.column(place)) for place, name in enumerate(names)})


def read_rows(path: Path, columns: Columns) -> Table:
    """Read a file that has these columns, and perhaps others; errors as `read_text` and `table_of`."""
    return table_of(read_text(path), columns)


def table_of(text: TextColumns, columns: Columns) -> Table:
    """Return the cells of these columns. Raises DataError for a missing column, and for a cell that is no number."""
    text.require(columns.names)
    shape = (len(text), 0)
    numbers = [_numbers(text, name) for name in columns.numbers]
    categories = [text[name].to_numpy(zero_copy_only=False).astype(object) for name in columns.categories]
    return Table(
        columns,
        np.stack(numbers, axis=1) if numbers else np.empty(shape, np.float32),
        np.stack(categories, axis=1) if categories else np.empty(shape, object),
    )


def looks_like(cells: Any, pattern: str) -> NDArray[np.bool_]:
    """Say for each cell whether it matches a regular expression: bool [N]."""
    found: NDArray[np.bool_] = pc.match_substring_regex(cells, pattern).to_numpy(zero_copy_only=False)
    return found


def is_missing(cells: Any) -> NDArray[np.bool_]:
    """Say for each cell whether it says nothing: bool [N]."""
    found: NDArray[np.bool_] = pc.equal(cells, "").to_numpy(zero_copy_only=False)
    return found


def some(names: Sequence[str]) -> str:
    """Join the first twenty names and count the others."""
    more = len(names) - NAMED_AT_MOST
    return ", ".join(names[:NAMED_AT_MOST]) + (f" and {more} more" if more > 0 else "")


def _numbers(text: TextColumns, name: str) -> NDArray[np.float32]:
    cells, missing = text[name], is_missing(text[name])
    wrong = np.flatnonzero(~missing & ~looks_like(cells, NUMBER))
    if len(wrong):
        row = int(wrong[0])
        raise DataError(
            f'{text.place(row, name)}: a number was expected, but it is "{cells[row].as_py()}" '
            f"({len(wrong):,} such cells); correct it, leave it empty, or name the column in data.categorical."
        )
    values = np.full(len(cells), np.nan)
    values[~missing] = pc.cast(cells.filter(pa.array(~missing)), pa.float64()).to_numpy()
    large = np.flatnonzero(np.abs(values) > np.finfo(np.float32).max)
    if len(large):
        row = int(large[0])
        raise DataError(f"{text.place(row, name)}: {cells[row].as_py()} is too large for a 32-bit number; scale it.")
    return values.astype(np.float32)


def _cells(column: Any) -> Any:
    """Return the texts of a column without spaces around them, those that say nothing as ""."""
    trimmed = pc.utf8_trim_whitespace(column.combine_chunks())
    return pc.if_else(pc.is_in(trimmed, value_set=pa.array(MISSING)), "", trimmed)


def _header(path: Path) -> tuple[str, list[str]]:
    """Return the separator, that which is most frequent in the first line, and the cells of the first row."""
    if path.is_dir():
        raise DataError(f"{path} is a folder; name a CSV file.")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = re.sub('"[^"]*"', "", file.readline())
            separator = max(SEPARATORS, key=first.count)
            file.seek(0)
            header = next(csv.reader(file, delimiter=separator), [])
    except FileNotFoundError:
        raise DataError(f'There is no file "{path}".') from None
    except UnicodeDecodeError:
        raise DataError(f"{path}: the text is not UTF-8; save it again with this encoding.") from None
    except (OSError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as a table: {error}.") from None
    return separator, header


def _check_names(path: Path, names: Sequence[str]) -> None:
    if not any(names):
        raise DataError(f"{path}: the first row is empty; it must name the columns.")
    if all(re.match(NUMBER, name) for name in names):
        raise DataError(f'{path}: the first row must name the columns, but it holds numbers: "{",".join(names[:5])}".')
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise DataError(f'{path}: the column "{twice[0]}" is there twice; rename one of them.')
