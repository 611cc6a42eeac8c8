"""A second student that learns beside the first, each from the other's answers (Zhang et al. 2018).

Shapes: B samples, C classes.
"""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

from limbeck.models.adapt import Adapted
from limbeck.models.arithmetic import PLAIN, Arithmetic
from limbeck.objectives.cross_entropy import CrossEntropy
from limbeck.objectives.objective import Objective
from limbeck.objectives.soft_labels import SoftLabels
from limbeck.teachers.base import Teacher
from limbeck.teachers.module import fingerprint
from limbeck.types import Batch, Knowledge, Outputs


class Peer(Teacher):
    """A network that answers for a batch as it learns, in training mode, and learns from the student's answers to it.

    model: with weights of its own, on the device of the fit, where it is trained in place; arithmetic: how it computes.
    Its loss is cross-entropy plus soft labels of the student's answers at temperature 1 (equation 6 of the paper); the
    fit's optimizer, which holds its weights too, takes both steps at once. It belongs to one fit, and its answers are
    never kept. Asked without gradients, it answers in evaluation mode and learns nothing.
    """

    provides = frozenset({"logits", "probs", "labels"})

    def __init__(self, model: Adapted, arithmetic: Arithmetic = PLAIN) -> None:
        self.model, self.moving, self.classes = model, model.net, model.classes
        self.arithmetic, self.precision = arithmetic, arithmetic.precision
        self.objective = Objective([(1.0, CrossEntropy()), (1.0, SoftLabels(temperature=1.0))])
        self._said: tuple[Batch, Tensor] | None = None
        self.fingerprint = self.current_fingerprint()

    def current_fingerprint(self) -> str:
        """Return that of its weights as they are now; it moves while it learns."""
        return hashlib.sha256(f"{fingerprint(self.model)}|peer of the student".encode()).hexdigest()

    def __call__(self, batch: Batch) -> Knowledge:
        """Return its logits [B, C] for the batch's inputs, without gradients; those it keeps for its own step."""
        self.asked += len(batch.inputs)
        learning = torch.is_grad_enabled()
        logits = self.arithmetic.forward(self.model.train(learning), batch.inputs).logits
        self._said = (batch, logits) if learning else None
        return Knowledge(logits=logits.detach())

    def hear(self, student: Outputs) -> None:
        """Add up the gradient of its own loss, given the student's outputs for the batch that it was asked about."""
        if self._said is None:
            return
        batch, logits = self._said
        loss, _ = self.objective(Outputs(logits=logits), Knowledge(logits=student.logits.detach()), batch)
        loss.backward()
        self._said = None
