"""What a run would ask a teacher whose every question counts; nothing is asked to find out."""

from __future__ import annotations

import math

import torch

from limbeck.errors import BudgetError
from limbeck.preflight.finding import Finding
from limbeck.preflight.subject import Subject
from limbeck.run.knowledge import check_wishes, demand_of
from limbeck.teachers.base import Teacher
from limbeck.types import Batch, Knowledge

SURE = 4.0  # the logit of the label; the others have 0


def count_questions(subject: Subject) -> list[Finding]:
    """A note named `questions`: how many samples would be sent, in how many requests, and what the budget says.

    A fault where the budget cannot be enough for the training samples. Nothing for teachers that may be asked freely.
    """
    plan, box = subject.plan, subject.plan.black_box
    if box is None or box.metered is None:
        return []
    metered, demand = box.metered, demand_of(plan)
    check_wishes(plan)
    views = demand.views or (0,) if demand.live else ()
    kept, tested = metered.kept(plan.data.pool), metered.kept(plan.data.test)
    missing = kept.missing(plan.data.train, views)
    judged = tested.missing(torch.arange(len(plan.data.test)), (0,)) if metered.test else 0
    requests = math.ceil(missing / metered.batch_size) + math.ceil(judged / metered.batch_size)
    left = metered.meter.left()
    sentence = (
        f"The run would send {metered.address} {missing:,} training views and {judged:,} test samples whose answers "
        f"are not known, in {requests:,} requests or a few more{'' if left is None else f', of {left:,} samples left'}."
    )
    try:
        kept.check_budget(plan.data.train, views)
    except BudgetError as error:
        return [Finding("fault", "questions", str(error))]
    if left is not None and missing + judged > left:
        sentence += " The budget is not enough for the test samples, so the teacher itself would not be judged."
    return [Finding("note", "questions", f"{sentence} This check sent nothing; labels took the teacher's place.")]


class StandIn(Teacher):
    """Says what the labels say, in the place of a teacher that is not asked. teacher: whose place it takes."""

    recalls = True

    def __init__(self, teacher: Teacher) -> None:
        self.provides, self.classes, self.fingerprint = teacher.provides, teacher.classes, teacher.fingerprint

    def current_fingerprint(self) -> str:
        """Return the fingerprint of the teacher."""
        return self.fingerprint

    def __call__(self, batch: Batch) -> Knowledge:
        """Return logits [B, C] that name the label where it is known, or labels int64 [B]."""
        assert batch.labels is not None
        known = batch.labels.clamp_min(0)
        if not self.provides & {"logits", "probs"}:
            return Knowledge(labels=known)
        logits = torch.zeros(len(known), self.classes, device=known.device)
        return Knowledge(logits=logits.scatter(1, known[:, None], SURE * (batch.labels >= 0)[:, None].float()))
