"""What a frozen network gives for views of samples, computed once: in memory, on disk, or both.

Shapes: N samples, V views, D numbers of a vector, B samples in a batch, n rows.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from limbeck.data.samples import Samples
from limbeck.data.views import Views
from limbeck.errors import Failure
from limbeck.knowledge.form import Vectors
from limbeck.knowledge.label import Heard, Labeller, fill
from limbeck.knowledge.ledger import Ledger
from limbeck.knowledge.names import names_of
from limbeck.knowledge.store import Store, concatenated
from limbeck.teachers.base import Teacher


class Features:
    """Vectors by row and view. What was not prepared is an error, never an old or an empty vector.

    network: gives them in the place of logits; views: None without augmentation; count: V; store: None to keep them in
    memory alone; resident: whether the table [V, N, D] fits into memory, else batches are read from the store.
    """

    def __init__(
        self, network: Teacher, samples: Samples, views: Views | None, count: int, store: Store | None, resident: bool
    ) -> None:
        assert resident or store is not None
        self.network, self.samples, self.views, self.count, self.store = network, samples, views, count, store
        self.form, self.ledger = Vectors(network.classes), Ledger()
        places = count * len(samples) if resident else 0
        self._table = torch.empty(places, network.classes, device=samples.device)
        self._there = torch.zeros(count * len(samples), dtype=torch.bool, device=samples.device)

    @property
    def asked(self) -> int:
        """How many vectors the network was asked for."""
        return self.ledger.asked

    def prepare(self, rows: Tensor, view: int, heard: Heard | None = None) -> None:
        """Make a view of rows (int64 [n]) ready, as far as it is not yet."""
        rows = rows.to(self.samples.device)
        rows = rows[~self._there[self._places(rows, torch.full_like(rows, view))]]
        if not len(rows):
            return
        labeller = Labeller(self.network, self.samples, self.views, self.form, rows)
        if self.store is not None:
            fill(labeller, self.store, view, self.ledger, heard=heard)
            found = self.store.read(labeller.names(rows, view)) if len(self._table) else ()
        else:
            self.ledger.note(f"{len(self.ledger.forwards)}", len(rows))
            found = _asked(labeller, view, heard)
        places = self._places(rows, torch.full_like(rows, view))
        if len(self._table):
            self._table[places] = found[0].to(self._table.device)
        self._there[places] = True

    def __call__(self, rows: Tensor, view: Tensor) -> Tensor:
        """Return vectors [B, D] of views of rows, int64 [B] each. Raises Failure where one was not prepared."""
        places = self._places(rows, view)
        if not bool(self._there.index_select(0, places).all()):
            raise Failure("A frozen network's feature is missing; this is a bug.")
        if len(self._table):
            return self._table.index_select(0, places)
        assert self.store is not None
        return self.store.read(names_of(self.samples, rows, view, self.views))[0].to(rows.device)

    def shown(self) -> Samples:
        """Return the samples as those of a network that gets vectors."""
        inputs = torch.zeros(1, self.form.width, device=self.samples.device).expand(len(self.samples), -1)
        return replace(self.samples, inputs=inputs, mapped=None, fed=self)

    def _places(self, rows: Tensor, view: Tensor) -> Tensor:
        return (view if self.views is not None else 0) * len(self.samples) + rows


def bytes_of(samples: Samples, width: int, count: int) -> int:
    """Return the size of a table of so many views."""
    return math.prod((4, len(samples), width, count))


def _asked(labeller: Labeller, view: int, heard: Heard | None) -> tuple[Tensor, ...]:
    parts = []
    for rows in labeller.chunks():
        parts.append(labeller.ask(rows, view))
        if heard is not None:
            heard(len(rows))
    return concatenated(parts)
