"""The items of a PyTorch map-style data set, read once each."""

from __future__ import annotations

from collections.abc import Sized
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from limbeck.data.pictures import from_image, is_grey
from limbeck.errors import DataError

Item: TypeAlias = Any
"""(input, label), or an input alone where no label is needed."""


def read_items(dataset: Dataset[Item], where: str, *, labelled: bool) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Read every item: inputs [N, ...] and labels int64 [N], -1 where none is needed.

    Pillow pictures become uint8 [N, C, H, W], grey if all are. Raises DataError naming the first item that is
    not (input, label), has another shape than the first, or has a label that is no whole number.
    """
    if not isinstance(dataset, Sized):
        raise DataError(f"{where}: the data set must have a length and rows by number (map-style).")
    if len(dataset) == 0:
        raise DataError(f"{where}: the data set is empty; at least one sample is needed.")
    inputs, labels, grey = [], [], True
    for row in range(len(dataset)):
        item = dataset[row]
        paired = isinstance(item, tuple | list) and len(item) == 2
        if labelled and not paired:
            raise DataError(f"{where} row {row}: (input, label) was expected, but the item is {_describe(item)}.")
        value = item[0] if paired else item
        grey = grey and isinstance(value, Image.Image) and is_grey(value)
        inputs.append(_as_array(value, where, row))
        labels.append(_as_label(item[1], where, row) if labelled else -1)
        if inputs[-1].shape != inputs[0].shape:
            raise DataError(
                f"{where} row {row} has shape {list(inputs[-1].shape)}, but row 0 has {list(inputs[0].shape)}"
                f"; resize the samples in the data set's transform."
            )
    stacked = np.stack(inputs)
    return stacked[:, :1] if grey else stacked, np.array(labels, dtype=np.int64)


def _as_array(value: object, where: str, row: int) -> NDArray[Any]:
    if isinstance(value, Image.Image):
        return from_image(value, size=None, channels="rgb")
    if isinstance(value, Tensor):
        return value.detach().cpu().numpy()
    if isinstance(value, np.ndarray):
        return value
    raise DataError(f"{where} row {row}: a picture, tensor or array was expected, but it is {_describe(value)}.")


def _as_label(value: object, where: str, row: int) -> int:
    if isinstance(value, Tensor | np.ndarray) and value.ndim == 0:
        value = value.item()
    if isinstance(value, int | np.integer):
        return int(value)
    raise DataError(f"{where} row {row}: the label must be a whole number, but it is {_describe(value)}.")


def _describe(value: object) -> str:
    size = f" of length {len(value)}" if isinstance(value, tuple | list) else ""
    return type(value).__name__ + size
