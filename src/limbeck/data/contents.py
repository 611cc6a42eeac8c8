"""What a data source gives, and how its pictures are to be read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from limbeck.data.samples import Samples
from limbeck.errors import DataError
from limbeck.types import TaskName


@dataclass(frozen=True)
class ReadOptions:
    """How files become samples.

    For pictures: size: pixels of a side, or (height, width); None is the pictures' common size. channels: "auto"
    is grey where every picture is grey. resize: "squash" to the size, "crop" the middle, or "pad" with the
    background, which also lies behind transparent pixels. corrupt: what to do about a file that cannot be
    read. memory: GiB of decoded pictures that may be held in memory, 60 % of what is free unless given; more are
    decoded into a file. For tables: label: the class column, None for the one called label, target, class or y, or the
    columns of several labels; drop: columns to leave out; categorical: columns whose numbers are names. task: what the
    labels are. Raises DataError for a size below 1.
    """

    size: int | tuple[int, int] | None = None
    channels: Literal["rgb", "grey", "auto"] = "auto"
    resize: Literal["squash", "crop", "pad"] = "squash"
    background: Literal["white", "black"] = "white"
    corrupt: Literal["error", "skip"] = "error"
    memory: float | None = None
    label: str | tuple[str, ...] | None = None
    drop: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    task: TaskName = "classification"

    def __post_init__(self) -> None:
        if self.pixels is not None and min(self.pixels) < 1:
            raise DataError(f"data.size must be 1 pixel or more, but it is {self.size}.")

    @property
    def pixels(self) -> tuple[int, int] | None:
        """The size as (height, width), or None where the pictures decide."""
        return (self.size, self.size) if isinstance(self.size, int) else self.size


AS_FOUND = ReadOptions()


@dataclass(frozen=True, eq=False)
class Source:
    """Samples as they were found, before any split is drawn.

    classes: C names, label i is classes[i], or of the columns of labels [N, C]; test and validation: None where the
    source has no such split of its own; unlabelled: samples whose labels are all -1; notes: sentences about what was
    left out or decided; reading: the options that were in effect, size and channels filled in, None where inputs are no
    pictures; label: the class column of a table, or the columns of its labels; its samples have no inputs yet: they are
    made when the split is known; task: what the labels are.
    """

    name: str
    classes: tuple[str, ...]
    train: Samples
    test: Samples | None
    unlabelled: Samples | None = None
    notes: tuple[str, ...] = ()
    reading: ReadOptions | None = None
    validation: Samples | None = None
    label: str | tuple[str, ...] | None = None
    task: TaskName = "classification"
