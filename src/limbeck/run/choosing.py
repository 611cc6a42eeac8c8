"""Samples of either domain to compare models by, and the choice of a checkpoint by those of a target."""

from __future__ import annotations

import torch
from torch import Tensor

from limbeck.data.dataset import Data
from limbeck.train.choosing import Choice
from limbeck.train.settings import Select

COMPARED = 1000  # samples of each domain


def some_of(data: Data, domain: int) -> Tensor:
    """Return training rows of a domain, as they lie, at most COMPARED."""
    assert data.pool.domain is not None
    rows = data.train[data.pool.domain.cpu()[data.train] == domain]
    return rows[torch.linspace(0, len(rows) - 1, min(COMPARED, len(rows))).long()]


def choice_of(select: Select, data: Data, validation: Tensor, labels: Tensor) -> Choice | None:
    """Return what a fit's checkpoint is chosen by, None for accuracy on validation rows.

    validation: int64 rows of the pool with a label; labels: int64, of the pool. Without such rows there is nothing to
    weigh, and the last epoch is kept as elsewhere.
    """
    if select == "validation" or (select == "weighted" and not len(validation)):
        return None
    return Choice(select, some_of(data, 1), validation, labels[validation])
