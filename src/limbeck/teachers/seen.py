"""Which samples a saved teacher was trained on, so that no later run takes them for test samples."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from limbeck.data.dataset import Data
from limbeck.errors import DataError
from limbeck.files import write_bytes

SEEN = "seen.safetensors"


def save_seen(folder: Path, data: Data, rows: Tensor) -> None:
    """Write the keys (64-bit hashes of the ids) of the pool's rows that the teacher in a folder has seen."""
    keys = data.pool.keys.cpu()[rows.cpu()].contiguous()
    write_bytes(folder / SEEN, save({"keys": keys}, metadata={"source": data.source}))


def copy_seen(source: Path, folder: Path) -> None:
    """Copy the record of a teacher that is taken over from another folder, where there is one."""
    if (source / SEEN).is_file() and source != folder:
        write_bytes(folder / SEEN, (source / SEEN).read_bytes())


def count_seen(folder: Path) -> int | None:
    """Return how many samples the teacher in a folder was trained and validated on; None when nobody noted it."""
    if not (folder / SEEN).is_file():
        return None
    with safe_open(folder / SEEN, framework="pt") as file:
        return int(file.get_slice("keys").get_shape()[0])


def check_unseen(folder: Path, data: Data) -> None:
    """Raise DataError when the teacher in a folder was trained on samples that this data keeps for the test.

    Only records of the same source tell; ids of another one may be alike without being the same samples.
    """
    if not (folder / SEEN).is_file():
        return
    with safe_open(folder / SEEN, framework="pt") as file:
        source, keys = file.metadata()["source"], file.get_tensor("keys")
    known = int(torch.isin(data.test.keys.cpu(), keys).sum())
    if source == data.source and known:
        raise DataError(
            f"The teacher in {folder} was trained on {known:,} of this run's {len(data.test):,} test samples, so its "
            f"knowledge would leak them. Use the data section and split_seed of the run that the teacher came from."
        )
