"""Which samples a saved model was trained on, so that no later run takes them for test samples.

A student's record has the samples alone: how many labels it learned from, its own and its teacher's, is not counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from limbeck.data.dataset import Data
from limbeck.data.hashing import row_hash
from limbeck.data.mapped import chunks
from limbeck.data.samples import Samples
from limbeck.errors import DataError
from limbeck.files import write_bytes

SEEN = "seen.safetensors"
LABELS, UNCOUNTED = "labels", "uncounted"  # in the record of a student


def save_seen(folder: Path, data: Data, rows: Tensor) -> None:
    """Write hashes of the contents of the pool's rows (int64) that the teacher in a folder has seen."""
    write_bytes(folder / SEEN, save({"contents": contents(data.pool, rows)}))


def save_seen_by_students(starts: Mapping[Path, Path | None], data: Data, rows: Tensor) -> None:
    """Write hashes of the contents of the pool's rows (int64) into the folders of students that have seen them.

    starts: by folder, where the weights were that training started from; what is noted there has been seen as well.
    """
    seen = contents(data.pool, rows)
    for folder, start in starts.items():
        earlier = None if start is None else _noted(start)
        every = seen if earlier is None else torch.unique(torch.cat([earlier, seen]))
        write_bytes(folder / SEEN, save({"contents": every}, {LABELS: UNCOUNTED}))


def copy_seen(source: Path, folder: Path) -> None:
    """Copy the record of a teacher that is taken over from another folder, where there is one."""
    if (source / SEEN).is_file() and source != folder:
        write_bytes(folder / SEEN, (source / SEEN).read_bytes())


def count_seen(folder: Path) -> int | None:
    """Return how many labels the model in a folder was trained and validated on; None when nobody noted it."""
    if not (folder / SEEN).is_file():
        return None
    with safe_open(folder / SEEN, framework="pt") as file:
        counted = (file.metadata() or {}).get(LABELS) != UNCOUNTED
        return int(file.get_slice("contents").get_shape()[0]) if counted else None


def check_unseen(folder: Path, data: Data) -> None:
    """Raise DataError when the teacher in a folder was trained on samples that this data keeps for the test."""
    if seen := count_leaked(folder, data):
        raise DataError(
            f"The teacher in {folder} was trained on {seen:,} of this run's {len(data.test):,} test samples, so its "
            f"knowledge would leak them. Use the data section and split_seed of the run that the teacher came from."
        )


def count_leaked(folder: Path, data: Data) -> int | None:
    """Return how many samples that this data keeps for the test the model in a folder was trained on.

    None when nobody noted what it was trained on. Samples are compared by what is in them, wherever they came from;
    pictures read at another size are others. What lies in this data's own training pool as well is a repeat within the
    data, which `Data` has noted already.
    """
    seen = _noted(folder)
    if seen is None:
        return None
    tested, own = contents(data.test), contents(data.pool)
    return int((torch.isin(tested, seen) & ~torch.isin(tested, own)).sum())


def count_repeated(folder: Path, samples: Samples) -> int:
    """Return how many of the samples the model in a folder was trained or validated on; 0 where nobody noted it."""
    seen = _noted(folder)
    return 0 if seen is None else int(torch.isin(contents(samples), seen).sum())


def _noted(folder: Path) -> Tensor | None:
    """Return the hashes of what the model in a folder has seen, int64 [n]; None where nobody noted it."""
    if not (folder / SEEN).is_file():
        return None
    with safe_open(folder / SEEN, framework="pt") as file:
        found: Tensor = file.get_tensor("contents")
        return found


def contents(samples: Samples, rows: Tensor | None = None) -> Tensor:
    """Return a 64-bit hash of the inputs of each row, int64 [n]; rows: int64 [n], None for all."""
    each = (row for chunk in chunks(samples.inputs, rows) for row in chunk.cpu().numpy())
    return torch.from_numpy(np.fromiter((int(row_hash(row), 16) for row in each), dtype=np.uint64).view(np.int64))
