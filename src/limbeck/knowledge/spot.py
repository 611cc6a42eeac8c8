"""Stored answers against the live teacher: some of them when a store is opened, all of them on request."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from limbeck.data.draws import mix
from limbeck.errors import FolderError
from limbeck.knowledge.form import Columns
from limbeck.knowledge.label import Labeller
from limbeck.knowledge.store import Store

CHECKED = 32
TOLERANCE = {"float32": 1e-3, "float16": 1e-2, "bfloat16": 5e-2}
"""Of the largest value of an answer: fp16's rounding, and what another batch size changes in the arithmetic."""
NOTHING = 1e-6  # a difference that is none, whatever the answer's size
COARSER = 5.0  # a device other than the CPU multiplies less exactly


def spot_check(store: Store, labeller: Labeller, numbers: Sequence[int]) -> int:
    """Ask the teacher again about 32 stored rows of the views, all where there are fewer, and return how many.

    Raises FolderError where an answer is another one: something that no fingerprint covers has changed, such as the
    code of a transform.
    """
    rows, views = _chosen(store, labeller, numbers)
    wrong = sum(count_wrong(store, labeller, rows[views == view], view) for view in torch.unique(views).tolist())
    if wrong:
        raise FolderError(
            f"The knowledge in {store.folder} is not what the teacher says now: {wrong} of {len(rows)} answers that "
            f"were asked for again differ. What made it has changed, perhaps the code of a transform; remove it with: "
            f"limbeck knowledge rm {store.folder}"
        )
    return len(rows)


def count_wrong(store: Store, labeller: Labeller, rows: Tensor, view: int) -> int:
    """Return how many of a view's stored rows (int64 [n]) are not what the teacher says now."""
    stored = store.read(labeller.names(rows, view))
    live = labeller.form.columns(labeller.scores(rows, view))
    tolerance = TOLERANCE[labeller.teacher.precision] * (1.0 if rows.device.type == "cpu" else COARSER)
    return int((~_agree(stored, live, tolerance)).sum())


def _agree(stored: Columns, live: Columns, tolerance: float) -> Tensor:
    """Say for each row [n] whether the highest values, and the sums of the others, are equal within the tolerance.

    Classes are not compared: of two that are as good as equal, either may be named first.
    """
    first, other = stored[0].float(), live[0].float().cpu()
    limits = tolerance * other.abs().amax(dim=1, keepdim=True) + NOTHING
    agree = ((first - other).abs() <= limits).all(dim=1)
    if len(stored) > 1:
        tails, others = stored[2], live[2].cpu()
        agree &= ((tails == others) | ((tails - others).abs() <= limits)).all(dim=1)
    return agree


def _chosen(store: Store, labeller: Labeller, numbers: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Return rows and views, int64 [n] each, of stored answers that a hash picks."""
    found = list(_stored(store, labeller, numbers))
    rows, views, names = (torch.cat(column) for column in zip(*found, strict=True))
    picked = torch.argsort(mix(names))[:CHECKED]
    return rows[picked], views[picked]


def _stored(store: Store, labeller: Labeller, numbers: Sequence[int]) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    rows = torch.arange(len(labeller.samples), device=labeller.samples.inputs.device)
    for view in numbers:
        names = labeller.names(rows, view)
        known = torch.from_numpy(store.has(names)).to(rows.device)
        yield rows[known], torch.full_like(rows, view)[known], names[known]
