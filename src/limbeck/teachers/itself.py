"""The student as its own teacher: the moving average of its weights answers (Tarvainen & Valpola 2017).

Shapes: B samples, C classes.
"""

from __future__ import annotations

import copy
import hashlib

import torch

from limbeck.models.adapt import Adapted
from limbeck.teachers.base import Teacher
from limbeck.teachers.module import fingerprint
from limbeck.types import Batch, Knowledge


class SelfTeacher(Teacher):
    """The exponential moving average of a student's weights and buffers, in evaluation mode.

    student: as it starts; decay: d, 0..1. After step t (from 0) the average a of the weights w becomes k a + (1 - k) w
    with k = min(d, 1 - 1 / (t + 1)): a plain mean of the steps at first. Whole numbers among the buffers are the
    student's own. It belongs to one fit, and its answers are never kept, since it is another teacher at each step.
    """

    provides = frozenset({"logits", "probs", "labels"})

    def __init__(self, student: Adapted, decay: float) -> None:
        self.model = copy.deepcopy(student).eval().requires_grad_(False)
        self.moving, self.decay, self.classes = self.model.net, decay, student.classes
        self.fingerprint = self.current_fingerprint()

    def current_fingerprint(self) -> str:
        """Return that of the average as it is now; it moves with the student."""
        return hashlib.sha256(f"{fingerprint(self.model)}|average of the student|{self.decay}".encode()).hexdigest()

    def __call__(self, batch: Batch) -> Knowledge:
        """Return the logits [B, C] of the average for the batch's inputs."""
        self.asked += len(batch.inputs)
        with torch.no_grad():
            return Knowledge(logits=self.model(batch.inputs).logits)

    @torch.no_grad()
    def follow(self, student: Adapted, step: int) -> None:
        """Move the average towards the student after a step, numbered from 0."""
        left = 1 - min(self.decay, 1 - 1 / (step + 1))
        average = self.model.net.state_dict()
        for name, value in student.net.state_dict().items():
            if value.is_floating_point():
                average[name].lerp_(value, left)
            else:
                average[name].copy_(value)
