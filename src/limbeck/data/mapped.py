"""Inputs that stay in a file: pages are read when a batch needs them and belong to the file, not to the process.

Shapes: N samples, R rows of them.
"""

from __future__ import annotations

import hashlib
import math
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from limbeck.files import cache_folder, reporting_disk_errors

CHUNK_BYTES = 32 * 2**20


def chunks(inputs: Tensor, rows: Tensor | None = None) -> Iterator[Tensor]:
    """Yield rows (int64 [R], None for all) of inputs [N, ...] in turn, some 32 MiB at a time."""
    each = max(1, CHUNK_BYTES // max(1, row_bytes(inputs)))
    if rows is None:
        yield from (inputs[start : start + each] for start in range(0, len(inputs), each))
    else:
        yield from (inputs.index_select(0, part.to(inputs.device)) for part in torch.split(rows, each))


def row_bytes(inputs: Tensor) -> int:
    """Return the bytes of one row of inputs [N, ...]."""
    return inputs.element_size() * inputs[:1].numel()


def stamp(path: Path) -> str:
    """Return what stands for the content of a file: its name, size and time of change."""
    found = path.stat()
    return f"{path.name}/{found.st_size}/{found.st_mtime_ns}"


def stamp_of_rows(mark: str, rows: Tensor) -> str:
    """Return what stands for rows (int64 [R]) of a file with a stamp."""
    return f"{mark}/{hashlib.sha256(rows.numpy().tobytes()).hexdigest()[:16]}"


def regroup(inputs: Tensor, rows: Tensor) -> Tensor:
    """Return rows (int64 [R]) of mapped inputs [N, ...]: a part of the same file where they are neighbours.

    Else they are copied, chunk by chunk, to a file of their own, which has no name and is gone when nobody uses it.
    """
    if len(rows) and bool((rows.diff() == 1).all()):
        return inputs[int(rows[0]) : int(rows[-1]) + 1]
    return write(chunks(inputs, rows), [len(rows), *inputs.shape[1:]], inputs.dtype)


def join(parts: list[Tensor]) -> Tensor:
    """Return mapped inputs one after the other, in a new file without a name."""
    count = sum(len(part) for part in parts)
    every = (chunk for part in parts for chunk in chunks(part))
    return write(every, [count, *parts[0].shape[1:]], parts[0].dtype)


def room(shape: Sequence[int]) -> NDArray[np.uint8]:
    """Return uint8 zeros of a shape in a new file without a name, to write to; DiskError where the disk is full."""
    folder = _scratch()
    with reporting_disk_errors(Path(folder or tempfile.gettempdir())), tempfile.TemporaryFile(dir=folder) as file:
        if hasattr(os, "posix_fallocate"):  # else a full disk would be a signal in the middle of the work
            os.posix_fallocate(file.fileno(), 0, math.prod(shape))
        return np.memmap(file, dtype=np.uint8, mode="r+", shape=tuple(shape))


def content(inputs: Tensor) -> str:
    """Return a SHA-256 (hex) of the shape and values of inputs [N, ...]."""
    digest = hashlib.sha256(f"{inputs.dtype} {list(inputs.shape)}".encode())
    for chunk in chunks(inputs):
        digest.update(chunk.contiguous().numpy().data)
    return digest.hexdigest()


def write(values: Iterable[Tensor], shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    """Return tensors one after the other, in a new file without a name; shape: of them together."""
    folder = _scratch()
    with reporting_disk_errors(Path(folder or tempfile.gettempdir())), tempfile.TemporaryFile(dir=folder) as file:
        for value in values:
            file.write(value.contiguous().numpy().tobytes())
        file.flush()
        return _mapped(file, shape, dtype)


def _mapped(file: IO[bytes], shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    """Map an open file; writing to the result would change the process's own copy of a page alone."""
    kind = torch.empty(0, dtype=dtype).numpy().dtype
    if not all(shape):
        return torch.empty(tuple(shape), dtype=dtype)
    return torch.from_numpy(np.memmap(file, dtype=kind, mode="c", shape=tuple(shape)))


def _scratch() -> Path | None:
    """Return a folder for large temporary files; None for the system's, which may be memory."""
    root = cache_folder()
    if root is None:
        return None
    try:
        (root / "scratch").mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return root / "scratch"
