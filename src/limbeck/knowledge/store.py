"""Answers of a teacher on disk, found by the name of what it was shown.

A folder with a manifest and files of fixed-width records. Nothing is ever changed in it: files are added as a whole, so
a reader needs no lock, any number of processes may write, and a kill leaves a store that goes on where it was.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from limbeck.errors import Failure, FolderError
from limbeck.files import reporting_disk_errors
from limbeck.knowledge.form import Columns, Form, Records
from limbeck.knowledge.manifest import MANIFEST, Manifest, form_of, read_manifest, refuse_other
from limbeck.knowledge.shards import Shard, name_of, shards_in, sweep_up, write_once, write_shard

STORES = "knowledge"  # the folder of all stores in the cache
CHECKED_BYTES = 2**30  # a store up to this size is read in full when it is opened


class Store:
    """The rows of one folder. Open it with `open_store` to write, or as it is to read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.form: Form = form_of(read_manifest(folder))
        self.broken: list[str] = []
        self._shards: list[Shard] = []
        self._maps: list[Records] = []
        self._names = np.empty(0, dtype=np.int64)
        self._places = np.empty((0, 2), dtype=np.int64)
        self.refresh()

    def __len__(self) -> int:
        """Count the different names."""
        return len(self._names)

    @property
    def bytes(self) -> int:
        """Of all files in the folder."""
        return sum(path.stat().st_size for path in self.folder.iterdir())

    @property
    def shards(self) -> tuple[Shard, ...]:
        """The files that are read."""
        return tuple(self._shards)

    def refresh(self) -> None:
        """Take in the files that were added since, and set aside those that are not what they were."""
        known = {shard.path for shard in self._shards}
        added = [shard for shard in shards_in(self.folder) if shard.path not in known]
        checked = sum(shard.rows for shard in added) * self.form.dtype.itemsize <= CHECKED_BYTES
        good = [shard for shard in added if self._trusted(shard, checked)]
        if good or not len(self._names):
            self._shards = sorted((*self._shards, *good), key=lambda shard: shard.path)
            self._index()

    def has(self, names: Tensor) -> NDArray[np.bool_]:
        """Say for each name (int64 [n]) whether it is here."""
        wanted = names.cpu().numpy()
        if not len(self._names):
            return np.zeros(len(wanted), dtype=np.bool_)
        places = np.searchsorted(self._names, wanted).clip(max=len(self._names) - 1)
        found: NDArray[np.bool_] = self._names[places] == wanted
        return found

    def read(self, names: Tensor) -> Columns:
        """Return the columns [n, ...] of names (int64 [n]); Failure where one is missing."""
        missing = int((~self.has(names)).sum())
        if missing:
            raise Failure(f"{missing:,} of {len(names):,} answers are missing in {self.folder}; this is a bug.")
        found = np.empty(len(names), dtype=self.form.dtype)
        shards, rows = self._places[np.searchsorted(self._names, names.cpu().numpy())].T
        for shard in np.unique(shards):
            mine = np.flatnonzero(shards == shard)
            found[mine] = self._maps[shard][rows[mine]]
        return self.form.columns_of(found)

    def add(self, names: Tensor, columns: Columns) -> None:
        """Write rows as one file, and read them from now on; names: int64 [n]."""
        write_shard(self.folder, self.form.records(names, columns))
        self.refresh()

    def name_of(self, names: Tensor, columns: Columns) -> str:
        """Return the name of the file that `add` would write."""
        return name_of(self.form.records(names, columns))

    def all_names(self) -> NDArray[np.int64]:
        """Return the name of every row, repeated ones too."""
        return np.concatenate([np.empty(0, np.int64), *(np.asarray(records["name"]) for records in self._maps)])

    def _trusted(self, shard: Shard, checked: bool) -> bool:
        try:
            sized = shard.path.stat().st_size == shard.rows * self.form.dtype.itemsize > 0
            if sized and (not checked or shard.is_whole()):
                return True
            self.broken.append(shard.path.name)
            shard.set_aside()
        except OSError:  # another process was faster, or may do it
            pass
        return False

    def _index(self) -> None:
        """Sort the names; of rows with the same name, that of the first file counts, whoever wrote it."""
        self._maps = [shard.map(self.form.dtype) for shard in self._shards]
        counts = [shard.rows for shard in self._shards]
        names, first = np.unique(self.all_names(), return_index=True)
        shards = np.repeat(np.arange(len(counts)), counts)
        starts = np.cumsum([0, *counts])[:-1] if counts else np.empty(0, np.int64)
        self._names = names
        self._places = np.stack([shards[first], first - starts[shards[first]]], axis=1) if len(names) else self._places


def open_store(folder: Path, manifest: Manifest) -> Store:
    """Return the store in a folder, made if there is none yet.

    Raises FolderError where the folder holds other knowledge, naming every part that differs, or other files; DiskError
    where it cannot be written.
    """
    if folder.is_file():
        raise FolderError(f"{folder} is a file; a knowledge store is a folder.")
    if (folder / MANIFEST).is_file():
        refuse_other(folder, manifest)
        sweep_up(folder)
    else:
        _refuse_foreign(folder)
        with reporting_disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        write_once(folder / MANIFEST, manifest.to_json().encode())
    note_use(folder)
    return Store(folder)


def note_use(folder: Path) -> None:
    """Set the time of the manifest to now, where that is allowed; `limbeck knowledge ls` shows it."""
    try:
        os.utime(folder / MANIFEST)
    except OSError:
        return


def concatenated(parts: Sequence[Columns]) -> Columns:
    """Return columns of some rows and columns of others as those of all."""
    return tuple(torch.cat(column) for column in zip(*parts, strict=True))


def _refuse_foreign(folder: Path) -> None:
    others = [path.name for path in folder.iterdir() if not path.name.startswith(".")] if folder.is_dir() else []
    if others:
        raise FolderError(
            f"{folder} is no knowledge store and not empty (it has {others[0]}); name a new folder as knowledge.path."
        )
