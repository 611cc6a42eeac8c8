"""Whether a store is what it should be: every file, every row, and against the teacher every answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from limbeck.knowledge.label import Heard, Labeller
from limbeck.knowledge.spot import count_wrong
from limbeck.knowledge.store import Store


@dataclass(frozen=True)
class Verified:
    """rows: different ones; repeated: rows beyond the first of a name; broken: files that were set aside; missing: rows
    that a run needs and are not there, wrong: rows that differ from what the teacher says now, both None where no
    teacher was asked.
    """

    rows: int
    repeated: int
    broken: tuple[str, ...]
    missing: int | None = None
    wrong: int | None = None

    @property
    def sound(self) -> bool:
        """Whether nothing is broken, missing or wrong; a repeated row is read once and harms nothing."""
        return not (self.broken or self.missing or self.wrong)


def verify(store: Store) -> Verified:
    """Check every file of a store by its checksum; those that are broken are set aside."""
    broken = list(store.broken)
    for shard in store.shards:
        if not shard.is_whole():
            shard.set_aside()
            broken.append(shard.path.name)
    names = Store(store.folder).all_names() if broken else store.all_names()
    different = len(np.unique(names))
    return Verified(different, len(names) - different, tuple(broken))


def verify_against(store: Store, labeller: Labeller, numbers: Sequence[int], heard: Heard | None = None) -> Verified:
    """Check every file, and ask the teacher about every row of the views again."""
    found = verify(store)
    store = Store(store.folder)
    missing = wrong = 0
    for view in numbers:
        for rows in labeller.chunks():
            known = torch.from_numpy(store.has(labeller.names(rows, view))).to(rows.device)
            missing += int((~known).sum())
            wrong += count_wrong(store, labeller, rows[known], view) if bool(known.any()) else 0
            if heard is not None:
                heard(len(rows))
    return Verified(found.rows, found.repeated, found.broken, missing, wrong)
