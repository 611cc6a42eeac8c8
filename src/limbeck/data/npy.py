"""A folder of NumPy's .npy files, which are read from the disk as batches need them: for data larger than memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.lib.format import open_memmap
from numpy.typing import NDArray
from torch import Tensor

from limbeck.data.arrays import as_labels, channels_first
from limbeck.data.contents import ReadOptions, Source
from limbeck.data.mapped import chunks, stamp
from limbeck.data.samples import Samples
from limbeck.errors import DataError

PARTS = (
    ("train", ("x_train", "y_train")),
    ("train", ("x", "y")),
    ("test", ("x_test", "y_test")),
    ("validation", ("x_val", "y_val")),
)


def read_npy(folder: Path, options: ReadOptions) -> Source:
    """Read x_train.npy and y_train.npy (or x and y), and perhaps x_val, y_val, x_test, y_test.

    Inputs are mapped into memory, not loaded: uint8 [N, H, W], [N, C, H, W] or [N, H, W, C] are pictures, float32
    [N, ...] is anything else. Labels are whole numbers, -1 for none. A sample is called by its part and row, such as
    train/17. Nothing is unpickled. Raises DataError for what is missing, of another type or does not fit.
    """
    if not folder.is_dir():
        raise DataError(f'data.source: there is no folder "{folder}".')
    found = {part: _read(folder, part, *names) for part, names in PARTS if (folder / f"{names[0]}.npy").is_file()}
    if "train" not in found:
        there = ", ".join(sorted(path.name for path in folder.glob("*.npy"))) or "none"
        raise DataError(f"{folder}: x_train.npy and y_train.npy are needed, or x.npy and y.npy; there are {there}.")
    train = found["train"]
    for part, samples in found.items():
        if (samples.shape, samples.inputs.dtype) != (train.shape, train.inputs.dtype):
            raise DataError(
                f"{folder}: {part} samples must be like the train samples, {list(train.shape)} "
                f"({train.inputs.dtype}), but they are {list(samples.shape)} ({samples.inputs.dtype})."
            )
    _refuse_other_size(folder, options, train)
    classes = tuple(str(label) for label in range(max(int(one.labels.max()) for one in found.values()) + 1))
    return Source(f"npy:{folder}", classes, train, found.get("test"), validation=found.get("validation"))


def _read(folder: Path, part: str, inputs: str, labels: str) -> Samples:
    path = folder / f"{inputs}.npy"
    if not (folder / f"{labels}.npy").is_file():
        raise DataError(f"{folder}: {inputs}.npy needs {labels}.npy beside it.")
    values = _inputs(path, _open(path))
    told = as_labels(_flat(np.array(_open(folder / f"{labels}.npy"))), f"{folder / labels}.npy", None)
    if len(values) != len(told):
        raise DataError(f"{folder}: {inputs}.npy has {len(values):,} rows, but {labels}.npy has {len(told):,}.")
    ids = tuple(f"{part}/{row}" for row in range(len(values)))
    return Samples(values, told, ids, mapped=stamp(path))


def _open(path: Path) -> NDArray[Any]:
    try:
        return np.asarray(open_memmap(path, mode="c"))
    except (OSError, EOFError, ValueError) as error:
        if "Python objects" in str(error):
            raise DataError(
                f"{path}: it holds Python objects, which are not loaded since that could run code; save plain arrays."
            ) from None
        raise DataError(f"{path}: cannot be read as an .npy file: {error}.") from None


def _inputs(path: Path, array: NDArray[Any]) -> Tensor:
    if not array.size:
        raise DataError(f"{path}: inputs are empty (shape {list(array.shape)}); at least one sample is needed.")
    if array.dtype == np.uint8 and array.ndim in {3, 4}:
        return torch.from_numpy(channels_first(array))
    if array.dtype != np.float32 or array.ndim < 2:
        raise DataError(
            f"{path}: expected uint8 pictures [N, H, W] or [N, C, H, W], or float32 [N, ...], but it holds "
            f"{array.dtype} {list(array.shape)}; save it so, or use npz:, which converts in memory."
        )
    values = torch.from_numpy(array)
    first = 0
    for chunk in chunks(values):
        finite = chunk.isfinite().flatten(1).all(1)
        if not bool(finite.all()):
            row = first + int(finite.int().argmin())
            raise DataError(f"{path}: row {row} has a value that is NaN or infinite; replace or remove it.")
        first += len(chunk)
    return values


def _flat(labels: NDArray[Any]) -> NDArray[Any]:
    return labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels


def _refuse_other_size(folder: Path, options: ReadOptions, train: Samples) -> None:
    if options.pixels is not None and options.pixels != train.shape[1:]:
        raise DataError(
            f"{folder}: arrays are taken as they are, {list(train.shape)}, and not resized; leave out data.size, or "
            f"save them in that size."
        )
