"""A teacher whose every question counts: each answer is stored as it comes, and nothing stored is asked for again.

Shapes: n rows, B samples in a batch, C classes of the teacher.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from limbeck.data.samples import Samples
from limbeck.data.views import Views
from limbeck.errors import BudgetError
from limbeck.knowledge.form import Columns, Dense, Form, Named
from limbeck.knowledge.label import ALL, Heard, Share, keep
from limbeck.knowledge.ledger import Ledger
from limbeck.knowledge.manifest import MANIFEST, Manifest
from limbeck.knowledge.names import names_of
from limbeck.knowledge.store import Store, open_store
from limbeck.teachers.base import Teacher
from limbeck.teachers.http_model import HttpTeacher
from limbeck.types import Batch, Knowledge

WRITTEN_SECONDS = 0.5  # a kill loses no more than the answers of so long, or of one request


@dataclass(frozen=True, eq=False)
class Drawer:
    """Where the answers of one teacher are kept, made when the first one comes."""

    folder: Path
    manifest: Manifest

    @property
    def exists(self) -> bool:
        """Whether there is a store already."""
        return (self.folder / MANIFEST).is_file()

    @cached_property
    def store(self) -> Store:
        """The store."""
        return open_store(self.folder, self.manifest)


class Kept(Teacher):
    """A metered teacher and what it has said about samples, in which `Batch.index` counts. views: None without any."""

    recalls = True

    def __init__(self, teacher: HttpTeacher, samples: Samples, views: Views | None, drawer: Drawer) -> None:
        self.teacher, self.samples, self.views, self.drawer = teacher, samples, views, drawer
        self.provides, self.classes, self.precision = teacher.provides, teacher.classes, teacher.precision
        self.fingerprint = teacher.fingerprint
        self._names: NDArray[np.int64] = np.empty(0, dtype=np.int64)
        self._known: Columns | None = None

    @property
    def asked(self) -> int:  # type: ignore[override]
        """How many samples the teacher itself has answered for."""
        return self.teacher.asked

    def current_fingerprint(self) -> str:
        """Return the teacher's own."""
        return self.teacher.current_fingerprint()

    def __call__(self, batch: Batch) -> Knowledge:
        """Return the answers for the batch's rows and views; what was never asked is asked now, and kept."""
        assert batch.index is not None
        view = torch.zeros_like(batch.index) if batch.view is None else batch.view
        names = names_of(self.samples, batch.index, view, self.views)
        wanted = names.cpu().numpy()
        if not self._has(wanted).all():
            self._load()
        if not self._has(wanted).all():
            self._ask(names, partial(self._shown, batch.index, view), Ledger(), None)
            self._load()
        assert self._known is not None
        places = torch.from_numpy(np.searchsorted(self._names, wanted))
        device = batch.inputs.device
        return self.drawer.store.form.knowledge(tuple(one.index_select(0, places).to(device) for one in self._known))

    def missing(self, rows: Tensor, numbers: Sequence[int]) -> int:
        """Return how many answers are not known for views (their numbers) of rows (int64 [n])."""
        return sum(len(self._unknown(names)) for names in (self._view(rows, view) for view in numbers))

    def prepare(
        self, rows: Tensor, numbers: Sequence[int], ledger: Ledger, *, share: Share = ALL, heard: Heard | None = None
    ) -> None:
        """Ask about what is not known of views of rows; of several processes each about its share.

        Raises BudgetError before anything is asked, where the budget cannot be enough.
        """
        self.check_budget(rows, numbers)
        for view in numbers:
            shown = partial(self._shown, rows, torch.full_like(rows, view))
            self._ask(self._view(rows, view), shown, ledger, heard, share)

    def check_budget(self, rows: Tensor, numbers: Sequence[int]) -> None:
        """Raise BudgetError where asking once about all that is missing of views of rows would pass the budget."""
        left = self.teacher.meter.left()
        if left is not None and (missing := self.missing(rows, numbers)) > left:
            raise BudgetError(
                f"{missing:,} answers of {self.teacher.address.shown} are not known yet, but of teacher.http.budget "
                f"{left:,} samples are left; raise it, or take fewer samples or data.views. Nothing was asked."
            )

    def _ask(
        self,
        names: Tensor,
        shown: Callable[[Tensor], Batch],
        ledger: Ledger,
        heard: Heard | None,
        share: Share = ALL,
    ) -> None:
        """Ask about the samples of names (int64 [n]) that have no answer; shown: gives the batch of places in them."""
        store = self.drawer.store
        store.refresh()
        unknown = self._unknown(names)
        requests = torch.split(unknown, self.teacher.asking.batch_size) if len(unknown) else ()

        def answers() -> Iterator[tuple[Tensor, Columns]]:
            for places in requests[share.rank :: share.of]:
                said = self.teacher(shown(places))
                scores = said.labels if said.logits is None else said.logits
                assert scores is not None
                yield names[places.to(names.device)], store.form.columns(scores)

        keep(store, answers(), ledger, heard, seconds=WRITTEN_SECONDS)

    def _shown(self, rows: Tensor, view: Tensor, places: Tensor) -> Batch:
        """Return what is asked about: views (int64 [n]) of rows (int64 [n]), at some places."""
        places = places.to(rows.device)
        return self.samples.batch(rows[places], view=view[places], views=self.views)

    def _unknown(self, names: Tensor) -> Tensor:
        """Return the places, int64, of names without an answer; of several equal names the first."""
        known = self.drawer.store.has(names) if self.drawer.exists else np.zeros(len(names), dtype=np.bool_)
        absent = np.flatnonzero(~known)
        _, first = np.unique(names.cpu().numpy()[absent], return_index=True)
        return torch.from_numpy(absent[np.sort(first)])

    def _view(self, rows: Tensor, view: int) -> Tensor:
        return names_of(self.samples, rows, torch.full_like(rows, view), self.views)

    def _has(self, wanted: NDArray[np.int64]) -> NDArray[np.bool_]:
        if not len(self._names):
            return np.zeros(len(wanted), dtype=np.bool_)
        places = np.searchsorted(self._names, wanted).clip(max=len(self._names) - 1)
        found: NDArray[np.bool_] = self._names[places] == wanted
        return found

    def _load(self) -> None:
        """Take what is stored into memory, where a step finds it at no cost."""
        store = self.drawer.store
        store.refresh()
        self._names = np.unique(store.all_names())
        self._known = store.read(torch.from_numpy(self._names)) if len(self._names) else None


def form_of_answers(teacher: HttpTeacher) -> Form:
    """Return the form in which a metered teacher's answers are kept: all of what it says."""
    return Dense(teacher.classes) if teacher.provides & {"logits", "probs"} else Named()
