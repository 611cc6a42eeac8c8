"""Knowledge that is recalled: the teacher is asked once for every (sample, view), by this run or an earlier one.

Shapes: V views, N samples, C classes. In memory or on disk, an answer is the same fp16 numbers, so where it is kept
changes no result.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

import torch
from torch import Tensor

from limbeck.data.samples import Samples
from limbeck.data.views import Views
from limbeck.knowledge.form import Columns, Dense, Form
from limbeck.knowledge.label import Heard, Labeller, fill
from limbeck.knowledge.ledger import Ledger
from limbeck.knowledge.names import names_of
from limbeck.knowledge.store import Store, concatenated
from limbeck.teachers.base import Teacher
from limbeck.types import Batch, Knowledge

LIMIT_BYTES = 2**30  # of the tables in memory; larger ones are read from the store


class Recalled(Teacher):
    """A teacher whose answers are computed for a whole view at once, when the first batch of it is asked for.

    labeller: asks the teacher; `Batch.index` counts in its samples, `Batch.view` its views; store: where answers are
    kept, None to keep them in memory alone; resident: whether the tables of answers fit into memory; name: in the
    ledger, where they are in memory, the start of the teacher's fingerprint unless given. A row is addressed by what it
    shows, so neither the order of the batches nor the epoch at which training starts can matter.
    """

    recalls = True

    def __init__(
        self,
        labeller: Labeller,
        *,
        store: Store | None = None,
        ledger: Ledger | None = None,
        resident: bool = True,
        name: str = "",
    ) -> None:
        assert resident or store is not None
        self.name = name
        self.labeller, self.store, self.ledger, self.resident = labeller, store, ledger or Ledger(), resident
        self.teacher, self.form = labeller.teacher, labeller.form
        self.provides, self.classes, self.precision = (
            self.teacher.provides - {"features", "gradients"},  # only answers are kept
            self.teacher.classes,
            self.teacher.precision,
        )
        self.fingerprint = self._marked(self.teacher.fingerprint)
        self._tables: dict[int, Columns] = {}
        self._filled: set[int] = set()

    @property
    def asked(self) -> int:  # type: ignore[override]
        """How many samples the teacher itself was asked about."""
        return self.teacher.asked

    def current_fingerprint(self) -> str:
        """Return the teacher's own, computed anew, and the form of the answers."""
        return self._marked(self.teacher.current_fingerprint())

    def prepare(self, numbers: Sequence[int], heard: Heard | None = None) -> None:
        """Make the views of these numbers ready, so that no batch waits for the teacher."""
        for view in numbers:
            self._fill(view, heard)
            if self.resident:
                self._table(view)

    def __call__(self, batch: Batch) -> Knowledge:
        """Return the answers for the batch's rows and views."""
        assert batch.index is not None
        if self.labeller.views is None or batch.view is None:
            view, numbers = torch.zeros_like(batch.index), [0]
        else:
            view, numbers = batch.view, torch.unique(batch.view).tolist()
        if not self.resident:
            return self.form.knowledge(self._read(batch.index, view, numbers))
        if len(numbers) == 1:
            return self.form.knowledge(self._rows(numbers[0], batch.index))
        pieces = [torch.nonzero(view == number).flatten() for number in numbers]
        found = concatenated([self._rows(n, batch.index[piece]) for n, piece in zip(numbers, pieces, strict=True)])
        back = torch.argsort(torch.cat(pieces))
        return self.form.knowledge(tuple(column.index_select(0, back) for column in found))

    def _rows(self, view: int, rows: Tensor) -> Columns:
        return tuple(column.index_select(0, rows) for column in self._table(view))

    def _read(self, rows: Tensor, view: Tensor, numbers: Sequence[int]) -> Columns:
        assert self.store is not None
        for number in numbers:
            self._fill(number)
        found = self.store.read(names_of(self.labeller.samples, rows, view, self.labeller.views))
        return tuple(column.to(rows.device) for column in found)

    def _table(self, view: int) -> Columns:
        if view not in self._tables:
            self._fill(view)
            if self.store is not None:
                rows = torch.arange(len(self.labeller.samples))
                device = self.labeller.samples.device
                columns = self.store.read(self.labeller.names(rows, view))
                self._tables[view] = tuple(column.to(device) for column in columns)
        return self._tables[view]

    def _fill(self, view: int, heard: Heard | None = None) -> None:
        """Ask about what is not known of a view, once."""
        if view in self._filled:
            return
        if self.store is not None:
            fill(self.labeller, self.store, view, self.ledger, heard=heard)
        else:
            name = f"{self.name or self.teacher.fingerprint[:16]}, view {view}"
            self.ledger.note(name, len(self.labeller.samples))
            self._tables[view] = self._ask_all(view, heard)
        self._filled.add(view)

    def _ask_all(self, view: int, heard: Heard | None) -> Columns:
        parts = []
        for rows in self.labeller.chunks():
            parts.append(self.labeller.ask(rows, view))
            if heard is not None:
                heard(len(rows))
        return concatenated(parts)

    def _marked(self, fingerprint: str) -> str:
        return hashlib.sha256(json.dumps([fingerprint, "float16", self.form.describe()]).encode()).hexdigest()


def remember(
    teacher: Teacher, samples: Samples, views: Views | None, *, tables: int = 1, form: Form | None = None
) -> Teacher:
    """Return a teacher that remembers where that is possible and small enough, else the teacher itself.

    tables: how many teachers share the memory; form: of the answers, all logits unless given. See `can_remember`; the
    teacher must give logits or probabilities, and not have its answers stored already.
    """
    if teacher.recalls or not teacher.provides & {"logits", "probs"}:
        return teacher
    form = form or Dense(teacher.classes)
    if not can_remember(views, len(samples), form, tables):
        return teacher
    return Recalled(Labeller(teacher, samples, views, form))


def can_remember(views: Views | None, samples: int, form: Form, tables: int = 1) -> bool:
    """Whether answers can be kept in memory: the number of views is known, and all tables take at most 1 GiB."""
    count = 1 if views is None else views.count
    return count != "fresh" and tables * count * samples * form.bytes_per_row <= LIMIT_BYTES
