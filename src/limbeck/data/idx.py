"""The files of MNIST and its relatives, plain or gzipped.

The format is described at http://yann.lecun.com/exdb/mnist/: a magic number whose third byte is the type of
the values (8: unsigned byte) and whose fourth is the number of dimensions, the dimensions as big-endian
32-bit integers, then the values.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from limbeck.data.bulk import fit
from limbeck.data.contents import ReadOptions, Source
from limbeck.data.samples import Samples
from limbeck.errors import DataError

NAMES = {"train": ("train-images", "train-labels"), "test": ("t10k-images", "t10k-labels")}


def read_idx(folder: Path, options: ReadOptions) -> Source:
    """Read train-images-idx3-ubyte, train-labels-idx1-ubyte and the two t10k files, each plain or .gz.

    Without t10k files there is no test split. Classes are the digits "0" to the largest label of train.
    Raises DataError naming the file if one is missing, damaged, or does not fit its partner.
    """
    if not folder.is_dir():
        raise DataError(f'data.source: there is no folder "{folder}"; idx: needs the one that has the MNIST files.')
    pixels, labels = _read_pair(folder, "train")
    count = int(labels.max()) + 1
    inputs, reading = fit(pixels, options)
    test = None
    if any(_find(folder, stem) for stem in NAMES["test"]):
        test_pixels, test_labels = _read_pair(folder, "test")
        _check_test(folder, test_pixels, test_labels, pixels.shape[1:], count)
        test = _samples(fit(test_pixels, options)[0], test_labels, "test")
    classes = tuple(str(label) for label in range(count))
    return Source(f"idx:{folder}", classes, _samples(inputs, labels, "train"), test, reading=reading)


def read_array(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """Read one idx file of unsigned bytes; raises DataError naming it if it is not whole."""
    content = _read_bytes(path)
    head = 4 + 4 * dimensions
    if len(content) < head:
        raise DataError(f"{path}: the file has {len(content)} bytes, too few for an idx header of {head}.")
    magic = struct.unpack(">I", content[:4])[0]
    if magic != 0x0800 + dimensions:
        raise DataError(
            f"{path}: the magic number must be {0x0800 + dimensions} (bytes in {dimensions} dimensions)"
            f", but it is {magic}; is it the right file?"
        )
    shape = struct.unpack(f">{dimensions}I", content[4:head])
    expected = int(np.prod(shape, dtype=object))
    if len(content) - head != expected:
        raise DataError(
            f"{path}: the header promises {'x'.join(str(n) for n in shape)} = {expected} bytes, but "
            f"{len(content) - head} follow; download the file again."
        )
    return np.frombuffer(bytearray(content), dtype=np.uint8, offset=head).reshape(shape)


def _read_pair(folder: Path, split: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    files = []
    for stem, ending in zip(NAMES[split], ("idx3-ubyte", "idx1-ubyte"), strict=True):
        path = _find(folder, stem)
        if path is None:
            raise DataError(f'{folder}: the file "{stem}-{ending}" (or the same with .gz) is missing.')
        files.append(path)
    pixels, labels = read_array(files[0], 3), read_array(files[1], 1)
    if len(pixels) != len(labels):
        raise DataError(f"{files[0]} has {len(pixels)} pictures, but {files[1]} has {len(labels)} labels.")
    if pixels.size == 0:
        raise DataError(f"{files[0]}: there are no pictures in it.")
    return pixels, labels.astype(np.int64)


def _find(folder: Path, stem: str) -> Path | None:
    ending = "idx3-ubyte" if "images" in stem else "idx1-ubyte"
    names = (f"{stem}-{ending}", f"{stem}-{ending}.gz", f"{stem}.{ending}", f"{stem}.{ending}.gz")
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _read_bytes(path: Path) -> bytes:
    try:
        return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read: {error}; download the file again.") from None


def _check_test(
    folder: Path, pixels: NDArray[np.uint8], labels: NDArray[np.int64], shape: tuple[int, ...], count: int
) -> None:
    if pixels.shape[1:] != shape:
        raise DataError(f"{folder}: test pictures are {pixels.shape[1:]}, but train pictures are {shape}.")
    if labels.max() >= count:
        row = int(np.argmax(labels >= count))
        raise DataError(f"{folder}: test row {row} has label {labels[row]}, but the train labels are 0 to {count - 1}.")


def _samples(inputs: Tensor, labels: NDArray[np.int64], split: str) -> Samples:
    return Samples(inputs, torch.from_numpy(labels), tuple(f"{split}/{row}" for row in range(len(labels))))
