"""Asking a teacher about every view of every sample, and keeping the answers.

Rows are asked about in chunks that depend on the order of the samples alone, so a labelling that was killed goes on
with the same batches and comes to the same numbers. Shapes: n rows, N samples.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from limbeck.data.samples import Samples
from limbeck.data.views import Views
from limbeck.knowledge.form import Columns, Form
from limbeck.knowledge.ledger import Ledger
from limbeck.knowledge.names import names_of
from limbeck.knowledge.store import Store, concatenated
from limbeck.teachers.base import Teacher
from limbeck.types import Knowledge

CHUNK = 256
SHARD_ROWS = 8192
SHARD_SECONDS = 20.0  # a kill loses at most this much work

Heard = Callable[[int], None]
"""Is told how many rows were dealt with."""


@dataclass(frozen=True)
class Share:
    """Which chunks a process labels: those whose number leaves `rank` when divided by `of`."""

    rank: int = 0
    of: int = 1


ALL = Share()


class Labeller:
    """Asks a teacher about rows of samples.

    views: None without augmentation; form: of the answers; rows: int64 [n], those to ask about, all unless given.
    """

    def __init__(
        self, teacher: Teacher, samples: Samples, views: Views | None, form: Form, rows: Tensor | None = None
    ) -> None:
        self.teacher, self.samples, self.views, self.form, self.rows = teacher, samples, views, form, rows
        self._tried: dict[tuple[int, bytes], Columns] = {}

    def names(self, rows: Tensor, view: int) -> Tensor:
        """Return the names of a view of rows (int64 [n])."""
        return names_of(self.samples, rows, torch.full_like(rows, view), self.views)

    def chunks(self) -> tuple[Tensor, ...]:
        """Return the rows to ask about, in pieces of at most CHUNK."""
        rows = torch.arange(len(self.samples)) if self.rows is None else self.rows
        return torch.split(rows.to(self.samples.device), CHUNK)

    def ask(self, rows: Tensor, view: int) -> Columns:
        """Return the columns of a view of rows (int64 [n]), asked for now or tried out before."""
        known = self._tried.pop((view, rows.cpu().numpy().tobytes()), None)
        return known if known is not None else self.form.columns(self.scores(rows, view))

    def try_out(self, rows: Tensor, view: int) -> float:
        """Ask about rows now, for whoever asks for them next, and return the seconds that took."""
        started = time.perf_counter()
        self._tried[view, rows.cpu().numpy().tobytes()] = self.form.columns(self.scores(rows, view))
        return time.perf_counter() - started

    def scores(self, rows: Tensor, view: int) -> Tensor:
        """Return the teacher's logits, or log probabilities, [n, C] for a view of rows."""
        said: Knowledge = self.teacher(self.samples.batch(rows, view=torch.full_like(rows, view), views=self.views))
        assert said.logits is not None  # such teachers alone are remembered
        return said.logits


def missing_chunks(labeller: Labeller, store: Store | None, view: int, share: Share = ALL) -> Iterator[Tensor]:
    """Yield the rows of each chunk whose view is not in the store, for the chunks of a share."""
    for number, rows in enumerate(labeller.chunks()):
        if number % share.of == share.rank:
            known = np.zeros(len(rows), dtype=np.bool_) if store is None else store.has(labeller.names(rows, view))
            if not known.all():
                yield rows[torch.from_numpy(~known).to(rows.device)]


def count_missing(labeller: Labeller, store: Store | None, numbers: Sequence[int], share: Share = ALL) -> int:
    """Return how many rows of the views (their numbers) a share has yet to ask about."""
    return sum(len(rows) for view in numbers for rows in missing_chunks(labeller, store, view, share))


def fill(
    labeller: Labeller,
    store: Store,
    view: int,
    ledger: Ledger,
    *,
    share: Share = ALL,
    heard: Heard | None = None,
) -> None:
    """Ask about every row of a view that is not in the store, and keep the answers, see `keep`."""
    store.refresh()
    chunks = missing_chunks(labeller, store, view, share)
    keep(store, ((labeller.names(rows, view), labeller.ask(rows, view)) for rows in chunks), ledger, heard)
    store.refresh()


def keep(
    store: Store,
    answers: Iterable[tuple[Tensor, Columns]],
    ledger: Ledger,
    heard: Heard | None,
    *,
    seconds: float = SHARD_SECONDS,
) -> None:
    """Store answers (names int64 [n] and columns) as they come, in files of at most SHARD_ROWS rows or `seconds`.

    What came before Ctrl-C, or an error, is kept too.
    """
    waiting: list[tuple[Tensor, Columns]] = []
    since = time.monotonic()
    try:
        for names, columns in answers:
            waiting.append((names, columns))
            if sum(len(one) for one, _ in waiting) >= SHARD_ROWS or time.monotonic() - since > seconds:
                _write(store, waiting, ledger)
                since = time.monotonic()
            if heard is not None:
                heard(len(names))
    finally:
        _write(store, waiting, ledger)


def _write(store: Store, waiting: list[tuple[Tensor, Columns]], ledger: Ledger) -> None:
    if not waiting:
        return
    names, columns = torch.cat([one for one, _ in waiting]), concatenated([one for _, one in waiting])
    ledger.note(str(store.folder / store.name_of(names, columns)), len(names))
    store.add(names, columns)
    waiting.clear()
