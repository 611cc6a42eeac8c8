"""Many picture files to one array, with threads, all of one size and one number of channels.

The array is in memory, or where that is too small in a file without a name, whose pages the system reads as needed.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import psutil  # type: ignore[import-untyped]
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from limbeck.data import mapped
from limbeck.data.contents import ReadOptions
from limbeck.data.pictures import Channels, Header, decode, from_image, probe
from limbeck.data.samples import Samples
from limbeck.errors import DataError

MIXED_SIZE = (64, 64)
MEMORY_SHARE = 0.6
NAMED_AT_MOST = 10
CHUNK = 64
GIB = 2**30


@dataclass(frozen=True)
class Picture:
    """A picture that has not been read: its name for messages, and the file or its bytes."""

    name: str
    source: Path | bytes


@dataclass(frozen=True, eq=False)
class Decoded:
    """The R readable pictures, uint8 [R, C, H, W], and which of those asked for they are, int64 [R].

    mapped: what stands for the content of pictures that are in a file, None for those in memory.
    """

    inputs: Tensor
    rows: NDArray[np.int64]
    reading: ReadOptions
    notes: tuple[str, ...]
    mapped: str | None = None

    def notes_below(self, root: Path) -> tuple[str, ...]:
        """Return the notes with files named by their path below a folder."""
        return tuple(note.replace(f"{root}{os.sep}", "") for note in self.notes)


def decode_all(pictures: Sequence[Picture], options: ReadOptions) -> Decoded:
    """Decode pictures into one array and say with which size and channels.

    Where no size is given it is the pictures' common size, else 64 x 64. Raises DataError if some cannot be
    read and `options.corrupt` is "error", DiskError if pictures that do not fit into memory do not fit on disk.
    """
    headers, broken = _headers(pictures)
    size, notes = _choose_size(headers, options)
    channels = _choose_channels(headers, options)
    shape = (len(pictures), 1 if channels == "grey" else 3, *size)
    resident = math.prod(shape) <= _budget(options)
    values = np.empty(shape, dtype=np.uint8) if resident else mapped.room(shape)
    reading = replace(options, size=size, channels=channels)
    broken |= _fill(values, pictures, [i for i in range(len(pictures)) if i not in broken], reading)
    notes += _report_broken(broken, options)
    rows = np.array([i for i in range(len(pictures)) if i not in broken], dtype=np.int64)
    inputs = torch.from_numpy(values)
    if broken:
        chosen = torch.from_numpy(rows)
        inputs = inputs[chosen] if resident else mapped.regroup(inputs, chosen)
    if options.channels == "auto" and channels == "rgb" and _all_grey(inputs.numpy()):
        inputs, reading = _first_channel(inputs, resident), replace(reading, channels="grey")
    if resident:
        return Decoded(inputs, rows, reading, notes)
    notes += (f"{len(rows):,} pictures take {inputs.numel() / GIB:.1f} GiB, so they were decoded into a file.",)
    return Decoded(inputs, rows, reading, notes, mapped.content(inputs))


def part_of(decoded: Decoded, start: int, stop: int, labels: NDArray[np.int64], ids: Sequence[str]) -> Samples:
    """Return the readable pictures among those asked for at start <= row < stop, with labels and ids."""
    low, high = np.searchsorted(decoded.rows, [start, stop])
    rows = decoded.rows[low:high]
    names = tuple(ids[row] for row in rows.tolist())
    mark = decoded.mapped and f"{decoded.mapped}/{low}-{high}"
    return Samples(decoded.inputs[low:high], torch.from_numpy(labels[rows]), names, mapped=mark)


def fit(pixels: NDArray[np.uint8], options: ReadOptions) -> tuple[Tensor, ReadOptions]:
    """Bring grey pictures [N, H, W] to the size and channels of the options: uint8 [N, C, H, W]."""
    channels: Channels = "rgb" if options.channels == "rgb" else "grey"
    size = options.pixels or (pixels.shape[1], pixels.shape[2])
    reading = replace(options, size=size, channels=channels)
    if channels == "grey" and size == pixels.shape[1:]:
        return torch.from_numpy(pixels[:, None]), reading
    _check_memory(len(pixels), size, channels)
    pictures = (Image.fromarray(picture) for picture in pixels)
    resize, background = options.resize, options.background
    inputs = [
        from_image(picture, size=size, channels=channels, resize=resize, background=background) for picture in pictures
    ]
    return torch.from_numpy(np.stack(inputs)), reading


def name_some(names: Sequence[str]) -> str:
    """Join the first ten names and count the others."""
    more = len(names) - NAMED_AT_MOST
    return "; ".join(names[:NAMED_AT_MOST]) + (f"; and {more} more" if more > 0 else "")


def _headers(pictures: Sequence[Picture]) -> tuple[list[Header], dict[int, str]]:
    broken: dict[int, str] = {}

    def look(index: int) -> Header | None:
        try:
            return probe(pictures[index].source, pictures[index].name)
        except DataError as error:
            broken[index] = str(error)
            return None

    with ThreadPoolExecutor(_threads()) as pool:
        headers = [header for header in pool.map(look, range(len(pictures))) if header is not None]
    return headers, broken


def _choose_size(headers: Sequence[Header], options: ReadOptions) -> tuple[tuple[int, int], tuple[str, ...]]:
    if options.pixels is not None:
        return options.pixels, ()
    sizes = {(header.height, header.width) for header in headers}
    if len(sizes) == 1:
        return sizes.pop(), ()
    note = f"The pictures have {len(sizes)} sizes, so all became 64 x 64 pixels; data.size sets another."
    return MIXED_SIZE, (note,) if sizes else ()


def _choose_channels(headers: Sequence[Header], options: ReadOptions) -> Channels:
    if options.channels != "auto":
        return options.channels
    return "grey" if headers and all(header.grey for header in headers) else "rgb"


def _budget(options: ReadOptions) -> float:
    """Return how many bytes of pictures may be held in memory."""
    return MEMORY_SHARE * psutil.virtual_memory().available if options.memory is None else options.memory * GIB


def _check_memory(count: int, size: tuple[int, int], channels: Channels) -> None:
    need = count * size[0] * size[1] * (1 if channels == "grey" else 3)
    free = psutil.virtual_memory().available
    if need > MEMORY_SHARE * free:
        raise DataError(
            f"{count:,} pictures of {size[0]} x {size[1]} pixels take {need / GIB:.1f} GiB, more than "
            f"{MEMORY_SHARE:.0%} of the {free / GIB:.1f} GiB of free memory; set a smaller data.size."
        )


def _fill(
    inputs: NDArray[np.uint8], pictures: Sequence[Picture], rows: Sequence[int], reading: ReadOptions
) -> dict[int, str]:
    """Decode the rows into their places; return the message of each that failed."""
    broken: dict[int, str] = {}
    channels: Channels = "grey" if reading.channels == "grey" else "rgb"

    def work(start: int) -> None:
        for row in rows[start : start + CHUNK]:
            picture = pictures[row]
            try:
                inputs[row] = decode(
                    picture.source,
                    size=reading.pixels,
                    channels=channels,
                    resize=reading.resize,
                    background=reading.background,
                    name=picture.name,
                )
            except DataError as error:
                broken[row] = str(error)

    with ThreadPoolExecutor(_threads()) as pool:
        list(pool.map(work, range(0, len(rows), CHUNK)))
    return broken


def _report_broken(broken: dict[int, str], options: ReadOptions) -> tuple[str, ...]:
    if not broken:
        return ()
    messages = name_some([broken[row].replace(": cannot be read:", ":").rstrip(".") for row in sorted(broken)])
    count = "1 picture" if len(broken) == 1 else f"{len(broken)} pictures"
    if options.corrupt == "skip":
        return (f"{count} left out because unreadable: {messages}.",)
    raise DataError(
        f"{count} cannot be read: {messages}. Repair or remove what is named, or set data.corrupt: skip to "
        f"leave it out."
    )


def _first_channel(inputs: Tensor, resident: bool) -> Tensor:
    """Return the first channel of pictures [R, C, H, W], where they are: [R, 1, H, W]."""
    if resident:
        return inputs[:, :1].contiguous()
    return mapped.write(
        (chunk[:, :1] for chunk in mapped.chunks(inputs)), [len(inputs), 1, *inputs.shape[2:]], inputs.dtype
    )


def _all_grey(inputs: NDArray[np.uint8]) -> bool:
    return all(bool((x[0] == x[1]).all() and (x[0] == x[2]).all()) for x in inputs)


def _threads() -> int:
    return min(16, (os.cpu_count() or 1) + 1)
