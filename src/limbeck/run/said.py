"""What models said about corrupted samples, a file for each corruption and severity, so that a measurement can go on.

Shapes: S seeds, N samples.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
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
        path = self._path(name)
        if path is None or not path.is_file():
            return None
        try:
            with np.load(path, allow_pickle=False) as found:
                if str(found["mark"]) != self.mark or list(found["subjects"]) != list(subjects):
                    return None
                return [Said(found[f"classes-{i}"], found[f"sure-{i}"]) for i in range(len(subjects))]
        except (OSError, ValueError, KeyError, zipfile.BadZipFile):
            return None

    def write(self, name: str, subjects: Sequence[str], said: Sequence[Said]) -> None:
        """Keep what the subjects said, atomically."""
        path = self._path(name)
        if path is None:
            return
        parts: dict[str, Any] = {"mark": np.array(self.mark), "subjects": np.array(subjects)}
        for place, one in enumerate(said):
            parts |= {f"classes-{place}": one.classes, f"sure-{place}": one.sure}
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **parts)
        write_bytes(path, buffer.getvalue())

    def _path(self, name: str) -> Path | None:
        return None if self.folder is None else self.folder / f"{name}.npz"
