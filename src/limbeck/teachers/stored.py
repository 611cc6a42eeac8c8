"""A teacher that is known only by a file of its answers.

Shapes: N samples that may be asked about, B of them in a batch, T classes of the teacher.
"""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

from limbeck.data.samples import Samples
from limbeck.errors import DataError
from limbeck.teachers.answers import Answers
from limbeck.teachers.base import Teacher
from limbeck.types import Batch, Knowledge

PROVIDES = {
    "logits": frozenset({"logits", "probs", "labels"}),
    "probs": frozenset({"probs", "labels"}),
    "labels": frozenset({"labels"}),
}


class StoredTeacher(Teacher):
    """Answers of a file, found by the id of the sample; it has seen the untouched sample alone.

    samples: what `Batch.index` counts in; rows: int64, those that will be asked about. Raises Unanswered when the file
    lacks the answer for one of them.
    """

    recalls = True

    def __init__(self, answers: Answers, samples: Samples, rows: Tensor, name: str) -> None:
        place = {key: row for row, key in enumerate(answers.ids)}
        found = torch.tensor([place.get(key, -1) for key in samples.ids])
        missing = [samples.ids[row] for row in rows[found[rows.cpu()] < 0].tolist()]
        if missing:
            raise Unanswered(name, missing, len(rows))
        self.provides, self.classes = PROVIDES[answers.says], answers.count
        table = answers.scores if answers.scores is not None else answers.labels
        assert table is not None
        device = samples.device
        self._table, self._found, self._graded = table.to(device), found.to(device), answers.scores is not None
        self.fingerprint = self.current_fingerprint()

    def current_fingerprint(self) -> str:
        """Return the SHA-256 of the answers as they are in memory, and of whose they are."""
        digest = hashlib.sha256(str(self._table.dtype).encode())
        for tensor in (self._table, self._found):
            digest.update(tensor.cpu().contiguous().numpy().data)
        return digest.hexdigest()

    def __call__(self, batch: Batch) -> Knowledge:
        """Return the stored scores [B, T] or labels int64 [B] of the batch's rows; all views are the untouched one."""
        assert batch.index is not None
        said = self._table.index_select(0, self._found.index_select(0, batch.index))
        return Knowledge(logits=said) if self._graded else Knowledge(labels=said)


class Unanswered(DataError):
    """A file of answers lacks samples; `missing` holds their ids."""

    def __init__(self, name: str, missing: list[str], asked: int) -> None:
        self.missing = missing
        some = ", ".join(f'"{key}"' for key in missing[:3])
        super().__init__(
            f"{name} has no answer for {len(missing):,} of {asked:,} samples, such as {some}; ids are those of "
            f"limbeck.Data (data.pool.ids)."
        )
