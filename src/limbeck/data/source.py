"""From the text of `data.source` to samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from limbeck.data.contents import ReadOptions, Source
from limbeck.data.csv_table import read_csv
from limbeck.data.diabetes import read_diabetes
from limbeck.data.digits import read_digits
from limbeck.data.folder import read_folder
from limbeck.data.glyphs import read_glyphs
from limbeck.data.idx import read_idx
from limbeck.data.npy import read_npy
from limbeck.data.npz import read_npz
from limbeck.data.parquet import read_parquet
from limbeck.errors import DataError, did_you_mean

__all__ = ["ReadOptions", "Source", "open_source"]

KINDS = ("digits", "glyphs", "diabetes", "idx", "folder", "parquet", "csv", "npz", "npy")
OTHER_TASKS = ("csv", "npz", "diabetes")  # than classification
READERS: Mapping[str, Callable[[Path, ReadOptions], Source]] = {
    "idx": read_idx,
    "folder": read_folder,
    "parquet": read_parquet,
    "csv": read_csv,
    "npz": read_npz,
    "npy": read_npy,
}
EXPECTED = (
    '"digits", "glyphs", "diabetes", "idx:FOLDER", "folder:FOLDER", "parquet:PATH", "csv:PATH", "npz:FILE" or '
    '"npy:FOLDER"'
)


def open_source(text: str, options: ReadOptions) -> Source:
    """Read "digits", "glyphs", "diabetes", or "idx:", "folder:", "parquet:", "csv:", "npz:", "npy:" and a place.

    Raises DataError for another kind of source, for options that do not go with it, and for everything that is missing
    or broken in it.
    """
    _refuse_unfit(text, options)
    if text == "digits":
        return read_digits(options)
    if text == "glyphs":
        return read_glyphs(options)
    if text == "diabetes":
        return read_diabetes(options)
    kind, colon, place = text.partition(":")
    path = Path(place).expanduser()
    if not colon or not place or kind not in READERS:
        raise DataError(_unknown(text, kind))
    return READERS[kind](path, options)


def _refuse_unfit(text: str, options: ReadOptions) -> None:
    """Refuse keys of tables for other sources, and the size of pictures for tables."""
    tabular = {"label": options.label, "drop": options.drop, "categorical": options.categorical}
    given = [key for key, value in tabular.items() if value]
    if given and not text.startswith("csv:"):
        raise DataError(f'data.{given[0]} is for tables, csv:PATH, but data.source is "{text}".')
    if options.size is not None and text.startswith("csv:"):
        raise DataError("data.size is for pictures, but data.source is a table.")
    if options.task != "classification" and text.partition(":")[0] not in OTHER_TASKS:
        raise DataError(
            f'data.task: {options.task} reads labels from csv:PATH, npz:FILE or diabetes, but data.source is "{text}".'
        )


def _unknown(text: str, kind: str) -> str:
    path = Path(text).expanduser()
    if text and path.exists():
        return f'data.source: "{text}" is a path without its kind; write "{_kind_of(path)}:{text}".'
    if kind in KINDS:
        return f'data.source: "{text}" must be one of {EXPECTED}.'
    return f'data.source must be {EXPECTED}, but it is "{text}".{did_you_mean(kind, KINDS)}'


def _kind_of(path: Path) -> str:
    """Return the kind of source that a file or folder most likely is."""
    if path.suffix in (".parquet", ".csv", ".npz"):
        return path.suffix[1:]
    if (path / "train.csv").is_file():
        return "csv"
    if any(path.glob("x*.npy")):
        return "npy"
    return "parquet" if any(path.glob("*.parquet")) else "folder"
