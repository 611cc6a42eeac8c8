"""A PyTorch model as a teacher."""

from __future__ import annotations

import hashlib

import torch

from limbeck.models.adapt import Adapted
from limbeck.models.weights import checksum
from limbeck.teachers.base import Teacher
from limbeck.types import Batch, Knowledge


class ModuleTeacher(Teacher):
    """A model in memory. It is put in evaluation mode, frozen, and belongs to no student or wrapper."""

    provides = frozenset({"logits", "probs", "labels"})

    def __init__(self, model: Adapted) -> None:
        self.model = model.eval().requires_grad_(False)
        self.classes = model.classes
        self.fingerprint = fingerprint(model)

    def current_fingerprint(self) -> str:
        """Return the fingerprint of the model as it is now."""
        return fingerprint(self.model)

    @torch.no_grad()
    def __call__(self, batch: Batch) -> Knowledge:
        """Return the logits [B, C] of the model for the batch's inputs."""
        self.model.eval()
        self.asked += len(batch.inputs)
        return Knowledge(logits=self.model(batch.inputs).logits)


def fingerprint(model: Adapted) -> str:
    """Return a SHA-256 (hex) of what decides a model's answers: weights, buffers, modules and normalisation."""
    normalise = model.normalise
    before = normalise and [normalise.mean.tolist(), normalise.std.tolist()]
    return hashlib.sha256(f"{checksum(model.net)}|{model.net!r}|{before}".encode()).hexdigest()
