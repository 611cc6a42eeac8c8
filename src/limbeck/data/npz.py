"""NumPy's .npz files: arrays of inputs and labels by name."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limbeck.data.arrays import Labelled, from_arrays
from limbeck.data.contents import ReadOptions, Source
from limbeck.errors import DataError

Arrays = dict[str, NDArray[Any]]

LAYOUTS = (
    ("x_train", "y_train", "x_test", "y_test", "x_val", "y_val"),
    ("train_images", "train_labels", "test_images", "test_labels", "val_images", "val_labels"),
    ("x", "y", "x_test", "y_test", "x_val", "y_val"),
)
EXPECTED = "x_train and y_train, x and y, or train_images and train_labels (as MedMNIST has them)"


def read_npz(path: Path, options: ReadOptions) -> Source:
    """Read x_train, y_train and perhaps x_val, y_val, x_test, y_test; or x, y; or MedMNIST's names.

    Inputs and labels are those of `from_arrays`; class numbers may be [N, 1]. Classes are "0", "1", ... Nothing is
    unpickled.
    Raises DataError, with the arrays found, for other names, and for arrays that do not fit.
    """
    arrays = _load(path)
    train, test, validation = _pairs(path, arrays, one_number=options.task == "classification")
    try:
        found = from_arrays(train, test, validation=validation, task=options.task)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    _refuse_other_size(path, options, found)
    held = found.validation
    note = "The file's own {} validation samples validate; data.validation is not used."
    return replace(found, name=f"npz:{path}", notes=() if held is None else (note.format(f"{len(held):,}"),))


def _load(path: Path) -> Arrays:
    if not path.is_file():
        raise DataError(f'data.source: there is no file "{path}".')
    try:
        with path.open("rb") as file:
            opened = np.load(file, allow_pickle=False)
            if isinstance(opened, np.ndarray):
                raise DataError(f"{path}: this is a single array; npz: needs a file that np.savez makes.")
            return {name: opened[name] for name in opened.files}
    except (OSError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: cannot be read as an .npz file: {error}.") from None
    except ValueError as error:
        if "allow_pickle" in str(error):
            raise DataError(
                f"{path}: it holds Python objects, which are not loaded since that could run code; save plain arrays."
            ) from None
        raise DataError(f"{path}: cannot be read as an .npz file: {error}.") from None


def _pairs(path: Path, arrays: Arrays, one_number: bool) -> tuple[Labelled, Labelled | None, Labelled | None]:
    """Return training, test and validation samples; the last two may be missing. one_number: is each label."""
    layout = next((names for names in LAYOUTS if names[0] in arrays and names[1] in arrays), None)
    if layout is None:
        told = ", ".join(f"{name} {list(values.shape)}" for name, values in arrays.items())
        raise DataError(f"{path}: expected arrays called {EXPECTED}; there are {told or 'none'}.")
    pairs: list[Labelled | None] = []
    for inputs, labels in zip(layout[::2], layout[1::2], strict=True):
        if (inputs in arrays) != (labels in arrays):
            there, absent = (inputs, labels) if inputs in arrays else (labels, inputs)
            raise DataError(f"{path}: {there} needs {absent} beside it.")
        given = arrays.get(labels)
        flat = _flat(path, labels, given) if given is not None and one_number else given
        pairs.append(None if flat is None else (arrays[inputs], flat))
    train, test, validation = pairs
    assert train is not None  # the layout has both of its arrays
    return train, test, validation


def _flat(path: Path, name: str, labels: NDArray[Any]) -> NDArray[Any]:
    """Return labels [N] from [N] or [N, 1]."""
    if labels.ndim == 2 and labels.shape[1] == 1:
        return labels[:, 0]
    if labels.ndim == 2:
        raise DataError(
            f"{path}: {name} has {labels.shape[1]} columns; one class number for each sample is expected. For several "
            f"labels or values at once set data.task: multi_label or regression."
        )
    return labels


def _refuse_other_size(path: Path, options: ReadOptions, found: Source) -> None:
    shape = found.train.shape
    if options.pixels is not None and options.pixels != shape[1:]:
        raise DataError(
            f"{path}: arrays are taken as they are, {list(shape)}, and not resized; leave out data.size, or save them "
            f"in that size."
        )
