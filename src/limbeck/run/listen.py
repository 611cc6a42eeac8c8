"""What a black box says about the test samples and the transfer set, and its column in the report.

Shapes: n samples, C classes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from limbeck.data.dataset import Data
from limbeck.data.samples import Samples
from limbeck.errors import BudgetError
from limbeck.run.answers import Answers
from limbeck.run.box import BlackBox
from limbeck.run.tasks import task_of
from limbeck.teachers.base import Teacher
from limbeck.teachers.mapped import MappedTeacher
from limbeck.teachers.stored import Unanswered

CHUNK = 1024
ASKED = 2048  # samples of the transfer set that tell what share of the answers a class map drops


def listen(box: BlackBox, data: Data, seed: int) -> tuple[Answers | None, tuple[str, ...]]:
    """Return the teacher's answers for the test samples, and notes for the report.

    None where a file of answers does not cover the test samples: then nothing is known of the teacher itself.
    """
    notes = _dropped(box, data)
    rows = torch.arange(len(data.test))
    if (reason := _unasked(box, data, rows)) is not None:
        return None, (*notes, f"Nothing is known of the teacher's own quality: {reason}")
    try:
        said = torch.cat([_scores(box.open(data.test, rows), data.test, part) for part in torch.split(rows, CHUNK)])
    except Unanswered as error:
        return None, (*notes, f"Nothing is known of the teacher's own quality: {error}")
    labels = data.test.labels.cpu().numpy()
    if said.ndim == 2:
        return Answers(task_of(data.task, data.scaling).scores(said.numpy())[None], (seed,), labels), notes
    if bool((said < 0).any()):
        told = f"it names a class that stands for none of yours for {int((said < 0).sum())} test samples."
        return None, (*notes, f"Nothing is said of the teacher's own quality: {told}")
    chosen = np.eye(len(data.classes))[said.numpy()]
    return Answers(chosen[None], (seed,), labels, graded=False), notes


def describe_black_box(box: BlackBox, data: Data, metrics: dict[str, Any], sample: Tensor) -> dict[str, Any]:
    """Return a black box's entry in the report's `models`, but for its name and role. Unknown is None.

    metrics: of its answers; sample: one input [1, ...].
    """
    unknown: dict[str, Any] = {"parameters": None, "bytes": None, "macs": None, "latency_ms": None}
    return {
        "architecture": box.title,
        "metrics": metrics,
        "steps": None,
        "steps_per_seed": None,
        **(box.cost(sample) if box.cost is not None else unknown),
        "checksum": box.open(data.pool, data.train).fingerprint,
        "validation_accuracy": None,
        "best_seed": None,
        "temperature": None,
    }


def _unasked(box: BlackBox, data: Data, rows: Tensor) -> str | None:
    """Return why a teacher whose every question counts is not asked about the test samples; None where it is."""
    if box.metered is None:
        return None
    if not box.metered.test:
        return "teacher.http.test is false, so it was not asked about the test samples."
    try:
        box.metered.kept(data.test).check_budget(rows, (0,))
    except BudgetError as error:
        return str(error)
    return None


def _scores(teacher: Teacher, samples: Samples, rows: Tensor) -> Tensor:
    """Return scores [n, C] or labels [n] of rows, on the CPU."""
    said = teacher(samples.batch(rows))
    found = said.logits if said.logits is not None else said.labels
    assert found is not None
    return found.cpu()


def _dropped(box: BlackBox, data: Data) -> tuple[str, ...]:
    """Say what share of the teacher's answers lies on classes that stand for none of the data's."""
    teacher = box.open(data.pool, data.train)
    if not isinstance(teacher, MappedTeacher) or len(teacher.map.kept) == teacher.map.count:
        return ()
    rows = data.train[:: -(-len(data.train) // ASKED)]
    if box.metered is not None and box.metered.kept(data.pool).missing(rows, (0,)):
        return ()
    share = float(torch.cat([teacher.dropped(data.pool.batch(part)).cpu() for part in torch.split(rows, CHUNK)]).mean())
    return (
        f"{share:.1%} of the teacher's answers on the transfer set ({len(rows):,} samples asked) lie on classes that "
        f"stand for none of yours and were dropped.",
    )
