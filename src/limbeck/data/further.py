"""A further question about the same samples, whose classes are groups of the data's own.

One vector of labels goes through the whole run, and a further task reads its own off it. So what is split, hidden,
drawn or withheld for the main task is so for all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from limbeck.data.dataset import Data


@dataclass(frozen=True, eq=False)
class FurtherTask:
    """name: of the task; classes: its own; lookup: int64 [C + 1], which of them each of the data's C classes belongs
    to, -1 for none; the last one, -1, is that of a label that is withheld.
    """

    name: str
    classes: tuple[str, ...]
    lookup: Tensor

    def labels(self, labels: Tensor) -> Tensor:
        """Return the task's labels for those of the data, both int64 with -1 where there is none."""
        return self.lookup.to(labels.device)[labels]

    def of(self, data: Data) -> Data:
        """Return the data as they are for this task alone: what its own teacher is trained and asked on."""
        pool, test = (replace(one, labels=self.labels(one.labels)) for one in (data.pool, data.test))
        told = replace(data, classes=self.classes, pool=pool, test=test, in_domain=None)
        return replace(told, train=data.taught, unseen_classes=(), shown={})

    def described(self) -> list[object]:
        """Return what tells this task from another one of its name."""
        return [self.name, list(self.classes), self.lookup.tolist()]


def further_task(name: str, groups: Mapping[str, Sequence[str]], data: Data) -> FurtherTask:
    """Return the task whose classes are groups of the data's; DataError for a class that the data do not have."""
    lookup = torch.full((len(data.classes) + 1,), -1, dtype=torch.int64)
    for number, members in enumerate(groups.values()):
        lookup[data.numbers_of(members, f"tasks.{name}.classes")] = number
    return FurtherTask(name, tuple(groups), lookup)
