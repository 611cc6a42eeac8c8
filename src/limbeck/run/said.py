"""What models said about corrupted or attacked samples, a file for each question, so that a measurement can go on.

Shapes: S seeds, N samples.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limbeck.evaluate.calibration import softmax
from limbeck.files import write_bytes


@dataclass(frozen=True, eq=False)
class Said:
    """classes: int32 [S, N], the class that was named; sure: float32 [S, N], the probability it was given, 0..1."""

    classes: NDArray[np.int32]
    sure: NDArray[np.float32]

    @classmethod
    def of(cls, logits: NDArray[np.floating]) -> Said:
        """Return what logits [S, N, C] say."""
        probabilities = softmax(logits)
        return cls(probabilities.argmax(2).astype(np.int32), probabilities.max(2).astype(np.float32))


@dataclass(frozen=True)
class Kept:
    """A folder of such files, or none. mark: what a file must have been made from to count, in words."""

    folder: Path | None
    mark: str

    def read(self, name: str, subjects: Sequence[str]) -> list[Said] | None:
        """Return what the subjects said; None where that is not kept, or was made from something else."""
        found = self.read_arrays(name)
        if found is None or list(found.get("subjects", ())) != list(subjects):
            return None
        return [Said(found[f"classes-{place}"], found[f"sure-{place}"]) for place in range(len(subjects))]

    def write(self, name: str, subjects: Sequence[str], said: Sequence[Said]) -> None:
        """Keep what the subjects said, atomically."""
        parts: dict[str, Any] = {"subjects": np.array(subjects)}
        for place, one in enumerate(said):
            parts |= {f"classes-{place}": one.classes, f"sure-{place}": one.sure}
        self.write_arrays(name, parts)

    def read_arrays(self, name: str) -> dict[str, NDArray[Any]] | None:
        """Return the arrays of a file; None where that is not kept, or was made from something else."""
        path = self._path(name)
        if path is None or not path.is_file():
            return None
        try:
            with np.load(path, allow_pickle=False) as found:
                arrays = dict(found)
        except (OSError, ValueError, KeyError, zipfile.BadZipFile):
            return None
        return arrays if str(arrays.pop("mark", None)) == self.mark else None

    def write_arrays(self, name: str, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Keep arrays in a file, atomically."""
        path = self._path(name)
        if path is None:
            return
        buffer = io.BytesIO()
        parts: dict[str, Any] = {"mark": np.array(self.mark), **arrays}
        np.savez_compressed(buffer, **parts)
        write_bytes(path, buffer.getvalue())

    def _path(self, name: str) -> Path | None:
        return None if self.folder is None else self.folder / f"{name}.npz"
