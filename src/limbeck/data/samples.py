"""Samples in memory or in a mapped file, each with an id that never changes.

Shapes: N samples, B of them in a batch, C channels, H rows and W columns of pixels.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from limbeck.data.hashing import hash64_all, hash_rows
from limbeck.data.mapped import regroup
from limbeck.data.mixup import blend
from limbeck.data.table import Table
from limbeck.data.views import Views
from limbeck.errors import DataError
from limbeck.types import Batch, known

Fed = Callable[[Tensor, Tensor], Tensor]
"""Gives what stands for views of rows, int64 [B] each: [B, ...]."""


@dataclass(frozen=True, eq=False)
class Samples:
    """N samples with labels and ids.

    inputs: uint8 [N, C, H, W] pictures, or float32 [N, ...] anything else; labels: int64 [N], -1 where there is none,
    or float32 [N, C], NaN there; ids: N different texts; raw: the rows that the inputs are made from, for a table;
    mapped: what stands for the content of inputs that are a memory-mapped file, such as its size and time of change,
    None for those in memory; domain: int64 [N], 0 for samples of the source and 1 for those of the target, None where
    there is one domain alone; fed: what batches show in the place of views of the inputs, mixed ones too, such as the
    features of a frozen network. Mapped inputs stay where they are; only batches move to a device. Raises DataError
    where these do not fit together.
    """

    inputs: Tensor
    labels: Tensor
    ids: tuple[str, ...]
    raw: Table | None = None
    mapped: str | None = None
    domain: Tensor | None = None
    fed: Fed | None = None

    def __post_init__(self) -> None:
        count = len(self.ids)
        if self.inputs.ndim < 2 or len(self.inputs) != count or self.labels.ndim > 2 or len(self.labels) != count:
            raise DataError(
                f"Inputs [N, ...], labels [N] and N ids were expected, but inputs are "
                f"{list(self.inputs.shape)}, labels {list(self.labels.shape)} and there are {count} ids."
            )
        if len(set(self.ids)) != count:
            name, times = Counter(self.ids).most_common(1)[0]
            raise DataError(f'Sample ids must differ, but "{name}" occurs {times} times; rename the samples.')

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def kind(self) -> Literal["image", "vector"]:
        """What one sample is: an image where inputs are [N, C, H, W], a vector otherwise."""
        return "image" if self.inputs.ndim == 4 else "vector"

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one sample, without the N."""
        return tuple(self.inputs.shape[1:])

    @property
    def device(self) -> torch.device:
        """Where batches are made."""
        return self.labels.device

    @cached_property
    def keys(self) -> Tensor:
        """int64 [N]: a 64-bit hash of each id, the same in every process."""
        return torch.from_numpy(hash64_all(self.ids)).to(self.device)

    @cached_property
    def contents(self) -> Tensor:
        """int64 [N]: a 64-bit hash of the inputs of each sample, the same in every process."""
        return torch.from_numpy(hash_rows(self.inputs)).to(self.device)

    @cached_property
    def fingerprint(self) -> str:
        """Hexadecimal SHA-256 of inputs, labels and ids: equal only for equal samples in equal order.

        Of mapped inputs, their stamp.
        """
        head = json.dumps([str(self.inputs.dtype), list(self.inputs.shape), self.ids])
        digest = hashlib.sha256(f"{head}{self.mapped or ''}".encode())
        for tensor in (self.labels,) if self.mapped else (self.inputs, self.labels):
            digest.update(tensor.cpu().contiguous().numpy().data)
        return digest.hexdigest()

    def batch(
        self,
        rows: Tensor,
        *,
        view: Tensor | None = None,
        views: Views | None = None,
        labels: Tensor | None = None,
    ) -> Batch:
        """Gather rows (int64 [B]) into a batch on the device of the samples.

        uint8 pictures become float32 in 0..1. view: int64 [B], which view of each sample to show (None is
        view 0, the untouched sample), made by `views`; a partner that is mixed in shows its own view of that number.
        labels: int64 [N] to use instead of the own ones.
        """
        rows = rows.to(self.device)
        view = torch.zeros_like(rows) if view is None else view.to(rows.device)
        chosen = self.labels if labels is None else labels.to(rows.device)
        inputs = self._view(rows, view, views) if self.fed is None else self.fed(rows, view)
        domain = None if self.domain is None else self.domain.index_select(0, rows)
        mixed = views and views.mix(
            rows, self.keys.index_select(0, rows), view, known(self.labels.index_select(0, rows))
        )
        if not mixed:
            return Batch(inputs, chosen.index_select(0, rows), index=rows, view=view, domain=domain)
        if self.fed is None:
            inputs = blend(inputs, self._view(mixed.partner, view, views), mixed.share)
        theirs = chosen.index_select(0, mixed.partner)
        return Batch(inputs, chosen.index_select(0, rows), rows, view, mixed.partner, theirs, mixed.share, domain)

    def _view(self, rows: Tensor, view: Tensor, views: Views | None) -> Tensor:
        if views is None or views.kept is None or not views.kept.holds(self.inputs, view):
            return self._make(rows, view, views)
        return views.kept(rows, view, lambda new, number: self._make(new, number, views))

    def _make(self, rows: Tensor, view: Tensor, views: Views | None) -> Tensor:
        inputs = self.inputs.index_select(0, rows.to(self.inputs.device)).to(self.device)
        if inputs.dtype == torch.uint8:
            inputs = inputs.float().div_(255)
        return inputs if views is None else views(inputs, self.keys.index_select(0, rows), view)

    def to(self, device: torch.device | str) -> Samples:
        """Return the same samples with labels and, where they are in memory, inputs on a device."""
        inputs = self.inputs if self.mapped else self.inputs.to(device)
        domain = None if self.domain is None else self.domain.to(device)
        return Samples(inputs, self.labels.to(device), self.ids, self.raw, self.mapped, domain)

    def inputs_of(self, rows: Tensor) -> Tensor:
        """Return the inputs of rows (int64 [R]), mapped where they are."""
        return regroup(self.inputs, rows) if self.mapped else self.inputs[rows.to(self.inputs.device)]
