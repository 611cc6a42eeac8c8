"""Which samples a saved teacher was trained on, so that no later run takes them for test samples."""

from __future__ import annotations

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


def save_seen(folder: Path, data: Data, rows: Tensor) -> None:
    """Write hashes of the contents of the pool's rows (int64) that the teacher in a folder has seen."""
    write_bytes(folder / SEEN, save({"contents": contents(data.pool, rows)}))


def copy_seen(source: Path, folder: Path) -> None:
    """Copy the record of a teacher that is taken over from another folder, where there is one."""
    if (source / SEEN).is_file() and source != folder:
        write_bytes(folder / SEEN, (source / SEEN).read_bytes())


def count_seen(folder: Path) -> int | None:
    """Return how many samples the teacher in a folder was trained and validated on; None when nobody noted it."""
    if not (folder / SEEN).is_file():
        return None
    with safe_open(folder / SEEN, framework="pt") as file:
        return int(file.get_slice("contents").get_shape()[0])


def check_unseen(folder: Path, data: Data) -> None:
    """Raise DataError when the teacher in a folder was trained on samples that this data keeps for the test.

    Samples are compared by what is in them, wherever they came from; pictures read at another size are others. What
    lies in this data's own training pool as well is a repeat within the data, which `Data` has noted already.
    """
    if not (folder / SEEN).is_file():
        return
    with safe_open(folder / SEEN, framework="pt") as file:
        seen = file.get_tensor("contents")
    tested, own = contents(data.test), contents(data.pool)
    known = int((torch.isin(tested, seen) & ~torch.isin(tested, own)).sum())
    if known:
        raise DataError(
            f"The teacher in {folder} was trained on {known:,} of this run's {len(data.test):,} test samples, so its "
            f"knowledge would leak them. Use the data section and split_seed of the run that the teacher came from."
        )


def count_repeated(folder: Path, samples: Samples) -> int:
    """Return how many of the samples the teacher in a folder was trained or validated on; 0 where nobody noted it."""
    if not (folder / SEEN).is_file():
        return 0
    with safe_open(folder / SEEN, framework="pt") as file:
        return int(torch.isin(contents(samples), file.get_tensor("contents")).sum())


def contents(samples: Samples, rows: Tensor | None = None) -> Tensor:
    """Return a 64-bit hash of the inputs of each row, int64 [n]; rows: int64 [n], None for all."""
    each = (row for chunk in chunks(samples.inputs, rows) for row in chunk.cpu().numpy())
    return torch.from_numpy(np.fromiter((int(row_hash(row), 16) for row in each), dtype=np.uint64).view(np.int64))
