"""From the text of `data.source` to samples."""

from __future__ import annotations

from pathlib import Path

from limbeck.data.contents import ReadOptions, Source
from limbeck.data.digits import read_digits
from limbeck.data.folder import read_folder
from limbeck.data.idx import read_idx
from limbeck.data.parquet import read_parquet
from limbeck.errors import DataError, did_you_mean

__all__ = ["ReadOptions", "Source", "open_source"]

KINDS = ("digits", "idx", "folder", "parquet")


def open_source(text: str, options: ReadOptions) -> Source:
    """Read "digits", "idx:DIR", "folder:DIR" or "parquet:PATH".

    Raises DataError for another kind of source, and for everything that is missing or broken in this one.
    """
    if text == "digits":
        return read_digits(options)
    kind, colon, place = text.partition(":")
    path = Path(place).expanduser()
    if not colon or not place or kind not in KINDS[1:]:
        raise DataError(_unknown(text, kind))
    if kind == "idx":
        return read_idx(path, options)
    return read_folder(path, options) if kind == "folder" else read_parquet(path, options)


def _unknown(text: str, kind: str) -> str:
    path = Path(text).expanduser()
    if text and path.exists():
        known = "parquet" if path.suffix == ".parquet" or any(path.glob("*.parquet")) else "folder"
        return f'data.source: "{text}" is a path without its kind; write "{known}:{text}".'
    known_kinds = '"digits", "idx:FOLDER", "folder:FOLDER" or "parquet:PATH"'
    if kind in KINDS:
        return f'data.source: "{text}" must be one of {known_kinds}.'
    return f'data.source must be {known_kinds}, but it is "{text}".{did_you_mean(kind, KINDS)}'
