"""Files of records: each whole or not there, its name says what is in it.

`<rows>-<checksum>.rows` holds so many records and nothing else, so a file of another size or content is known for one.
Several processes may write into one folder: equal files have equal names, and a rename replaces one by the other.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from limbeck.files import reporting_disk_errors
from limbeck.knowledge.form import Records

NAME = re.compile(r"^(\d{8})-([0-9a-f]{32})\.rows$")
BROKEN = ".broken"
PARTIAL = ".partial"
ABANDONED_SECONDS = 3600.0  # a partial file that is older was left by a killed writer


@dataclass(frozen=True)
class Shard:
    """One file. rows: how many records it has; checksum: of its bytes."""

    path: Path
    rows: int
    checksum: str

    def is_whole(self) -> bool:
        """Whether the bytes are those that were written."""
        try:
            return _checksum(self.path.read_bytes()) == self.checksum
        except OSError:
            return False

    def map(self, dtype: np.dtype[Any]) -> Records:
        """Return the records [rows], read from the file when they are needed."""
        return np.memmap(self.path, dtype=dtype, mode="r", shape=(self.rows,))

    def set_aside(self) -> None:
        """Rename the file, so that nobody reads it again."""
        self.path.rename(self.path.with_name(self.path.name + BROKEN))


def name_of(records: Records) -> str:
    """Return the name of the file of records [n]."""
    return f"{len(records):08d}-{_checksum(records.tobytes())}.rows"


def write_shard(folder: Path, records: Records) -> None:
    """Write the file of records [n]; after a kill it is there as a whole or not at all."""
    write_once(folder / name_of(records), records.tobytes())


def write_once(path: Path, content: bytes) -> None:
    """Write a file that other processes may be writing too, with the same content."""
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}{PARTIAL}")
    with reporting_disk_errors(path):
        try:
            with partial.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise


def shards_in(folder: Path) -> list[Shard]:
    """Return the files of a folder by name; other files do not count."""
    found = ((path, NAME.match(path.name)) for path in sorted(folder.iterdir()))
    return [Shard(path, int(match[1]), match[2]) for path, match in found if match]


def sweep_up(folder: Path) -> None:
    """Delete what killed writers left behind."""
    for path in folder.glob(f".*{PARTIAL}"):
        try:
            if time.time() - path.stat().st_mtime > ABANDONED_SECONDS:
                path.unlink()
        except OSError:  # another process was faster, or may do it
            continue


def _checksum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]
