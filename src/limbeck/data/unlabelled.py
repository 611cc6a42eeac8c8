"""From the text of `data.unlabelled` to samples without labels."""

from __future__ import annotations

from pathlib import Path

from limbeck.data.combine import concatenate, without_labels
from limbeck.data.contents import ReadOptions
from limbeck.data.csv_table import read_unlabelled
from limbeck.data.folder import is_flat, read_flat
from limbeck.data.parquet import read_parquet
from limbeck.data.samples import Samples
from limbeck.data.source import open_source
from limbeck.errors import DataError


def open_unlabelled(text: str, options: ReadOptions, like: Samples) -> tuple[Samples, tuple[str, ...]]:
    """Read a source for its inputs only; give samples with labels -1 and the notes.

    like: the training samples, whose columns a table must have. Ids begin with "unlabelled/". A folder may hold the
    pictures directly. A test split of the source is left alone. Raises DataError as `open_source` does.
    """
    kind, _, place = text.partition(":")
    path = Path(place).expanduser()
    if (kind == "csv") != (like.raw is not None):
        expected = "a table too, csv:PATH" if like.raw is not None else "no table, as the training samples are none"
        raise DataError(f'data.unlabelled should be {expected}, but it is "{text}".')
    if like.raw is not None:
        return read_unlabelled(path, like.raw.columns), ()
    if kind == "folder" and is_flat(path):
        samples, notes = read_flat(path, options)
        return _not_empty(without_labels(samples), text), notes
    found = read_parquet(path, options, labelled=False) if kind == "parquet" else open_source(text, options)
    parts = [found.train] if found.unlabelled is None else [found.train, found.unlabelled]
    notes = tuple(f"Unlabelled samples: {note}" for note in found.notes)
    return _not_empty(without_labels(concatenate(parts)), text), notes


def _not_empty(samples: Samples, text: str) -> Samples:
    if len(samples) == 0:
        raise DataError(f'data.unlabelled: no sample of "{text}" can be read.')
    return samples
