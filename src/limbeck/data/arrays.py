"""Samples from Python: arrays, tensors, lists, and PyTorch data sets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from limbeck.data.combine import withheld, without_labels
from limbeck.data.contents import ReadOptions, Source
from limbeck.data.hashing import number_repeats, row_hash
from limbeck.data.items import Item, read_items
from limbeck.data.samples import Samples
from limbeck.data.targets import as_targets, target_names
from limbeck.errors import DataError
from limbeck.types import TaskName

Arrays: TypeAlias = NDArray[Any] | Tensor | Sequence[Any]
Labelled: TypeAlias = tuple[Arrays, Arrays]

PICTURE_CHANNELS = {1, 3, 4}


def from_arrays(
    train: Labelled,
    test: Labelled | None = None,
    unlabelled: Arrays | None = None,
    classes: Sequence[str] | None = None,
    validation: Labelled | None = None,
    task: TaskName = "classification",
) -> Source:
    """Take (inputs [N, ...], labels [N]) for train, test and validation, and inputs alone for unlabelled samples.

    uint8 [N, H, W] and [N, C, H, W] are pictures, and so is [N, H, W, C] where C is 1, 3 or 4 and H is not;
    all else becomes float32. Labels are whole numbers in 0..C-1, -1 for none; of other tasks what `as_targets` takes.
    classes: names of the classes, or of the columns of labels. Ids are content hashes.
    Raises DataError naming the first row whose input is not finite or whose label is out of range, and for
    empty arrays, lengths that differ and shapes that differ between the parts.
    """
    found = _labelled(train, "train", classes, task)
    names = _names(found.labels, classes, task)
    tested = None if test is None else _distinct(_labelled(test, "test", names, task), found, "test")
    judged = None
    if validation is not None:
        judged = _distinct(_labelled(validation, "validation", names, task), found, "validation")
    extra = None
    if unlabelled is not None:
        inputs = as_inputs(unlabelled, "unlabelled")
        extra = without_labels(_samples(inputs, withheld(found.labels, len(inputs))))
    for part, where in ((tested, "test"), (judged, "validation"), (extra, "unlabelled")):
        if part is not None and (part.shape, part.inputs.dtype) != (found.shape, found.inputs.dtype):
            raise DataError(
                f"{where} samples must be like the train samples, {list(found.shape)} ({found.inputs.dtype})"
                f", but they are {list(part.shape)} ({part.inputs.dtype})."
            )
        if part is not None and part.labels.shape[1:] != found.labels.shape[1:]:
            raise DataError(
                f"{where} has {part.labels.shape[1]} labels for each sample, but train has {found.labels.shape[1]}."
            )
    return Source("arrays", names, found, tested, extra, reading=_reading(found), validation=judged, task=task)


def from_datasets(
    train: Dataset[Item],
    test: Dataset[Item] | None = None,
    unlabelled: Dataset[Item] | None = None,
    classes: Sequence[str] | None = None,
) -> Source:
    """Take map-style data sets of (input, label); an input is a Pillow picture, a tensor or an array.

    Each item is read once, so a random transform of the data set gives every sample one fixed look. Labels of
    `unlabelled` are ignored and may be missing. Errors as `from_arrays`, and for items of different shapes.
    """
    extra = None if unlabelled is None else read_items(unlabelled, "unlabelled", labelled=False)[0]
    tested = None if test is None else read_items(test, "test", labelled=True)
    source = from_arrays(read_items(train, "train", labelled=True), tested, extra, classes)
    return Source(
        "datasets", source.classes, source.train, source.test, source.unlabelled, source.notes, source.reading
    )


def as_inputs(values: Arrays, where: str) -> Tensor:
    """Copy values into uint8 [N, C, H, W] or float32 [N, ...]; raises DataError as `from_arrays`."""
    array = _as_numpy(values, where)
    if array.dtype.kind not in "biuf":
        raise DataError(f"{where} inputs must be numbers of one shape for all samples, but they are {array.dtype}.")
    if array.size == 0:
        raise DataError(f"{where} inputs are empty (shape {list(array.shape)}); at least one sample is needed.")
    if array.dtype == np.uint8 and array.ndim in {3, 4}:
        return torch.from_numpy(np.array(channels_first(array), order="C"))
    with np.errstate(over="ignore"):
        floats = np.array(array, dtype=np.float32, order="C")
    floats = floats[:, None] if floats.ndim == 1 else floats
    finite = np.isfinite(floats).reshape(len(floats), -1).all(axis=1)
    if not finite.all():
        row = int(np.argmin(finite))
        raise DataError(
            f"{where} row {row} has a value that is NaN, infinite or too large for float32 "
            f"({int((~finite).sum())} such rows in all); replace or remove it."
        )
    return torch.from_numpy(floats)


def as_labels(values: Arrays, where: str, count: int | None) -> Tensor:
    """Copy labels into int64 [N]; raises DataError unless they are whole numbers from -1 to count - 1."""
    array = _as_numpy(values, where)
    if array.dtype.kind not in "biu" or array.ndim != 1:
        raise DataError(
            f"{where} labels must be whole numbers [N], one class number for each sample, but they are "
            f"{array.dtype} {list(array.shape)}."
        )
    labels = array.astype(np.int64)
    bad = labels < -1 if count is None else (labels < -1) | (labels >= count)
    if bad.any():
        row = int(np.argmax(bad))
        top = "upwards" if count is None else f"to {count - 1}"
        raise DataError(f"{where} row {row} has label {labels[row]}, but labels go from 0 {top}, and -1 for none.")
    return torch.from_numpy(labels)


def _labelled(pair: Labelled, where: str, classes: Sequence[str] | None, task: TaskName) -> Samples:
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise DataError(f"{where} must be (inputs, labels), but it is {type(pair).__name__}.")
    inputs = as_inputs(pair[0], where)
    if task == "classification":
        labels = as_labels(pair[1], where, None if classes is None else len(classes))
    else:
        labels = as_targets(_as_numpy(pair[1], where), task, where, lambda row: f"{where} row {row}")
    if len(inputs) != len(labels):
        raise DataError(f"{where} has {len(inputs)} inputs but {len(labels)} labels; there must be as many of each.")
    return _samples(inputs, labels)


def _samples(inputs: Tensor, labels: Tensor) -> Samples:
    return Samples(inputs, labels, tuple(number_repeats(row_hash(row) for row in inputs.numpy())))


def _distinct(other: Samples, train: Samples, split: str) -> Samples:
    """Rename samples of another split that have the id, and so the content, of a train sample."""
    taken = set(train.ids)
    ids = tuple(f"{name}#{split}" if name in taken else name for name in other.ids)
    return Samples(other.inputs, other.labels, ids)


def _names(labels: Tensor, classes: Sequence[str] | None, task: TaskName) -> tuple[str, ...]:
    """Return the names of classes, or of the columns of labels [N, C]: those given, else numbers."""
    if labels.ndim == 1:
        return tuple(classes) if classes is not None else tuple(str(label) for label in range(int(labels.max()) + 1))
    names = tuple(classes) if classes is not None else target_names(labels.shape[1], task)
    if len(names) != labels.shape[1]:
        raise DataError(f"classes names {len(names)} columns of labels, but there are {labels.shape[1]}.")
    return names


def _reading(samples: Samples) -> ReadOptions | None:
    """Say how a picture file must be read to look like these samples."""
    if samples.inputs.dtype != torch.uint8 or samples.shape[0] not in {1, 3}:
        return None
    return ReadOptions(size=(samples.shape[1], samples.shape[2]), channels="grey" if samples.shape[0] == 1 else "rgb")


def channels_first(array: NDArray[Any]) -> NDArray[Any]:
    """Return pictures [N, H, W] or [N, H, W, C] as a view [N, C, H, W]."""
    if array.ndim == 3:
        return array[:, None]
    last = array.shape[3] in PICTURE_CHANNELS and array.shape[1] not in PICTURE_CHANNELS
    return array.transpose(0, 3, 1, 2) if last else array


def _as_numpy(values: Arrays, where: str) -> NDArray[Any]:
    if isinstance(values, Tensor):
        tensor = values.detach().cpu()
        return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()
    try:
        if isinstance(values, list | tuple) and values and isinstance(values[0], Tensor):
            return torch.stack([torch.as_tensor(value) for value in values]).detach().cpu().numpy()
        return np.asarray(values)
    except (ValueError, TypeError, RuntimeError) as error:
        raise DataError(f"{where}: samples must all have one shape: {error}.") from None
