"""Knowledge kept in memory: the teacher is asked once for every (sample, view).

Shapes: V views, N samples, C classes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from limbeck.data.samples import Samples
from limbeck.data.views import Views
from limbeck.teachers.base import Teacher
from limbeck.types import Batch, Knowledge

LIMIT_BYTES = 2**30
CHUNK = 1024


class Remembered(Teacher):
    """A teacher whose logits are computed for a whole view at once, when the first batch of it is asked for.

    teacher: gives logits; samples: what `Batch.index` counts in; views: what `Batch.view` counts, None when
    there is no augmentation. A row is addressed by (view, index), so neither the order of the batches nor the
    epoch at which training starts can matter.
    """

    recalls = True

    def __init__(self, teacher: Teacher, samples: Samples, views: Views | None) -> None:
        self.teacher, self.samples, self.views = teacher, samples, views
        self.provides, self.classes, self.fingerprint = teacher.provides, teacher.classes, teacher.fingerprint
        self._tables: dict[int, Tensor] = {}

    @property
    def asked(self) -> int:  # type: ignore[override]
        """How many samples the teacher itself was asked about."""
        return self.teacher.asked

    def current_fingerprint(self) -> str:
        """Return the teacher's own, computed anew."""
        return self.teacher.current_fingerprint()

    def __call__(self, batch: Batch) -> Knowledge:
        """Return the logits [B, C] for the batch's rows and views."""
        assert batch.index is not None
        view = torch.zeros_like(batch.index) if self.views is None or batch.view is None else batch.view
        numbers = torch.unique(view).tolist()
        if len(numbers) == 1:
            return Knowledge(logits=self._table(numbers[0]).index_select(0, batch.index))
        logits = torch.stack([self._table(n).index_select(0, batch.index) for n in numbers])
        places = torch.searchsorted(torch.tensor(numbers, device=view.device), view)
        return Knowledge(logits=logits[places, torch.arange(len(view), device=view.device)])

    def _table(self, view: int) -> Tensor:
        if view not in self._tables:
            self._tables[view] = torch.cat([self._answers(rows, view) for rows in self._chunks()])
        return self._tables[view]

    def _chunks(self) -> tuple[Tensor, ...]:
        return torch.split(torch.arange(len(self.samples), device=self.samples.device), CHUNK)

    def _answers(self, rows: Tensor, view: int) -> Tensor:
        batch = self.samples.batch(rows, view=torch.full_like(rows, view), views=self.views)
        logits = self.teacher(batch).logits
        assert logits is not None
        return logits


def remember(teacher: Teacher, samples: Samples, views: Views | None, *, tables: int = 1) -> Teacher:
    """Return a remembering teacher where that is possible and small enough, else the teacher itself.

    tables: how many teachers share the memory. See `can_remember`; the teacher must give logits or probabilities, and
    not have its answers stored already.
    """
    if teacher.recalls or not teacher.provides & {"logits", "probs"}:
        return teacher
    if not can_remember(views, len(samples), teacher.classes, tables):
        return teacher
    return Remembered(teacher, samples, views)


def can_remember(views: Views | None, samples: int, classes: int, tables: int = 1) -> bool:
    """Whether answers are kept: the number of views is known, and all tables together take at most 1 GiB."""
    count = 1 if views is None else views.count
    return count != "fresh" and tables * count * samples * classes * 4 <= LIMIT_BYTES
