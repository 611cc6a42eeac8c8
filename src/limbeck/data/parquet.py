"""Parquet files in the image layout of Hugging Face data sets."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from limbeck.data.bulk import Picture, decode_all, name_some, part_of
from limbeck.data.contents import ReadOptions, Source
from limbeck.data.hashing import content_hash, number_repeats
from limbeck.errors import DataError

IMAGE_COLUMNS = ("image", "img")
LABEL_COLUMNS = ("label", "labels")


@dataclass
class Table:
    """The rows of one split: pictures as bytes, labels as stored, paths; class names if the file has them."""

    pictures: list[Picture] = field(default_factory=list)
    labels: list[int | str | None] = field(default_factory=list)
    paths: list[str | None] = field(default_factory=list)
    contents: list[bytes] = field(default_factory=list)
    names: tuple[str, ...] = ()

    def ids(self, split: str) -> list[str]:
        """Return "split/path" where every path is there and different, else "split/content hash"."""
        paths = [path for path in self.paths if path]
        if len(paths) != len(self.paths) or len(set(paths)) != len(paths):
            paths = number_repeats(content_hash(content) for content in self.contents)
        return [f"{split}/{path}" for path in paths]


def read_parquet(path: Path, options: ReadOptions, *, labelled: bool = True) -> Source:
    """Read a file (no test split), or a folder with train*.parquet and perhaps test*.parquet.

    The column "image" or "img" holds {bytes, path} or bytes; "label" or "labels" whole numbers or names, null
    or -1 where there is none; with labelled=False that column may be missing. Class names come from the
    file's Hugging Face metadata, else from the labels. Raises DataError naming file and row.
    """
    train_files, test_files, notes = _find_files(path)
    train, test = _read(train_files, labelled), _read(test_files, labelled)
    classes = train.names or _class_names(train)
    labels = np.array(_numbers(train, classes) + _numbers(test, classes), dtype=np.int64)
    decoded = decode_all(train.pictures + test.pictures, options)
    ids, middle = train.ids("train") + test.ids("test"), len(train.labels)
    return Source(
        name=f"parquet:{path}",
        classes=classes,
        train=part_of(decoded, 0, middle, labels, ids),
        test=part_of(decoded, middle, len(labels), labels, ids) if test_files else None,
        notes=notes + decoded.notes_below(path if path.is_dir() else path.parent),
        reading=decoded.reading,
    )


def _find_files(path: Path) -> tuple[list[Path], list[Path], tuple[str, ...]]:
    if path.is_file():
        return [path], [], ()
    if not path.is_dir():
        raise DataError(f'data.source: there is no file or folder "{path}".')
    train, test = sorted(path.glob("train*.parquet")), sorted(path.glob("test*.parquet"))
    if not train:
        raise DataError(f'{path}: a file named "train*.parquet" is needed in this folder, but there is none.')
    others = sorted(set(path.glob("*.parquet")) - set(train) - set(test))
    note = f"Ignored, being neither train nor test: {name_some([other.name for other in others])}."
    return train, test, (note,) if others else ()


def _read(files: Sequence[Path], labelled: bool) -> Table:
    table = Table()
    for path in files:
        try:
            _read_file(path, labelled, table)
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{path}: cannot be read as a parquet file: {error}") from None
    if files and not table.pictures:
        raise DataError(f"{files[0]}: there are no rows in it.")
    return table


def _read_file(path: Path, labelled: bool, table: Table) -> None:
    schema = pq.read_schema(path)
    image = _column(path, schema.names, IMAGE_COLUMNS)
    label = _column(path, schema.names, LABEL_COLUMNS) if labelled else None
    content = pq.read_table(path, columns=[image] + [label] * (label is not None))
    contents, paths = _pictures(path, content.column(image))
    start = len(table.contents)
    table.contents += contents
    table.paths += paths
    table.pictures += [Picture(f"{path} row {row}", data) for row, data in enumerate(table.contents[start:])]
    if label is None:
        table.labels += [None] * len(contents)
        return
    kind = schema.field(label).type
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    if not (pa.types.is_integer(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        raise DataError(f'{path}: the column "{label}" must hold whole numbers or names, but it holds {kind}.')
    table.labels += content.column(label).to_pylist()
    table.names = table.names or _metadata_names(schema, label)


def _column(path: Path, names: Sequence[str], wanted: Sequence[str]) -> str:
    for name in wanted:
        if name in names:
            return name
    raise DataError(f'{path}: a column "{wanted[0]}" (or "{wanted[1]}") is needed, but there are {", ".join(names)}.')


def _pictures(path: Path, column: pa.ChunkedArray) -> tuple[list[bytes], list[str | None]]:
    kind = column.type
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return [data or b"" for data in column.to_pylist()], [None] * len(column)
    if not pa.types.is_struct(kind) or kind.get_field_index("bytes") < 0:
        raise DataError(f"{path}: the image column must hold bytes or {{bytes, path}}, but it holds {kind}.")
    rows = [row or {} for row in column.to_pylist()]
    return [row.get("bytes") or b"" for row in rows], [row.get("path") for row in rows]


def _metadata_names(schema: pa.Schema, label: str) -> tuple[str, ...]:
    """Return the class names of the Hugging Face metadata, or none where there are none."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return tuple(str(name) for name in features[label]["names"])
    except (KeyError, TypeError, ValueError):
        return ()


def _class_names(table: Table) -> tuple[str, ...]:
    texts = sorted({label for label in table.labels if isinstance(label, str)})
    if texts:
        return tuple(texts)
    numbers = [label for label in table.labels if isinstance(label, int)]
    return tuple(str(label) for label in range(max(numbers, default=-1) + 1))


def _numbers(table: Table, classes: tuple[str, ...]) -> list[int]:
    """Turn labels into class numbers, -1 where there is none."""
    index = {name: number for number, name in enumerate(classes)}
    result = []
    for label, picture in zip(table.labels, table.pictures, strict=True):
        number = -1 if label is None else index.get(label, -2) if isinstance(label, str) else label
        if not -1 <= number < len(classes):
            raise DataError(
                f"{picture.name} (counted from 0) has label {label!r}, but the classes are 0 to "
                f"{len(classes) - 1}: {name_some(classes)}."
            )
        result.append(number)
    return result
