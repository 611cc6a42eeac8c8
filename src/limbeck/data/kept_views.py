"""Views that are made once and kept in memory, where a sample has few of them.

A turn or a bend costs many times what reading its result does, and a run shows the same views to every fit, in every
epoch that returns to them. Kept or made anew, a view is the same bits.

Shapes: N samples, V views, B of them in a batch.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable

import psutil  # type: ignore[import-untyped]
import torch
from torch import Tensor

MEMORY_SHARE = 0.5  # of free memory, for all processes that may make views of their own together

Make = Callable[[Tensor, Tensor], Tensor]
"""Makes views [B, ...] of rows int64 [B] with numbers int64 [B]."""


class KeptViews:
    """Room for V views of samples whose inputs are [N, ...]; memory is taken only for those that are made."""

    def __init__(self, inputs: Tensor, count: int) -> None:
        self.inputs, self.count = inputs, count
        self._made = torch.empty(count * len(inputs), *inputs.shape[1:])
        self._there = torch.zeros(count * len(inputs), dtype=torch.bool)

    def holds(self, inputs: Tensor, view: Tensor) -> bool:
        """Whether these are the inputs whose views of such numbers (int64 [B]) are kept."""
        return inputs is self.inputs and bool((view < self.count).all())

    def __call__(self, rows: Tensor, view: Tensor, make: Make) -> Tensor:
        """Return views [B, ...] of rows with numbers below V, int64 [B] each; those that are not there are made."""
        places = view * len(self.inputs) + rows
        new = torch.nonzero(~self._there.index_select(0, places)).flatten()
        if len(new):
            self._made.index_copy_(0, places[new], make(rows[new], view[new]))
            self._there[places[new]] = True
        return self._made.index_select(0, places)


def room_for(inputs: Tensor, count: int) -> KeptViews | None:
    """Return room for the views of inputs [N, ...] in memory; None where that would take too much of it.

    Inputs on another device than a processor are changed there as fast as they are read.
    """
    needed = 4 * count * math.prod(inputs.shape)
    if inputs.device.type != "cpu" or needed > MEMORY_SHARE * psutil.virtual_memory().available / (os.cpu_count() or 1):
        return None
    return KeptViews(inputs, count)
