"""A PyTorch model as a teacher."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

from limbeck.models.adapt import Adapted
from limbeck.models.arithmetic import PLAIN, Wish, choose
from limbeck.models.folded import folded
from limbeck.models.weights import checksum
from limbeck.models.work import multiply_adds
from limbeck.teachers.base import Teacher
from limbeck.types import Batch, Knowledge

NOMINAL_BATCH = 128
WORK_AT_ONCE = 4_000_000_000  # multiply-adds: more samples at once drop out of a processor's cache; benchmarks/speed.py
LEAST_AT_ONCE, MOST_AT_ONCE = 64, 1024


class ModuleTeacher(Teacher):
    """A model in memory. It is put in evaluation mode, frozen, and belongs to no student or wrapper.

    sample: a few inputs [B, ...]; with them the answers come from a copy that is made for speed, with batch norm folded
    and in the precision that is wished for. Answers in bf16 have another fingerprint.
    """

    provides = frozenset({"logits", "probs", "labels"})

    def __init__(self, model: Adapted, sample: Tensor | None = None, precision: Wish = "auto") -> None:
        self.model = model.eval().requires_grad_(False)
        self.classes = model.classes
        self._answering, self.arithmetic, self._at_once = self.model, PLAIN, MOST_AT_ONCE
        if sample is not None:
            self._speed_up(sample, precision)
        self.precision = "float32" if self.arithmetic.precision == "fp32" else "bfloat16"
        self._begun = checksum(self._answering.net)
        self.fingerprint = self.current_fingerprint()

    def current_fingerprint(self) -> str:
        """Return the fingerprint of the model as it is now."""
        moved = "" if checksum(self._answering.net) == self._begun else "|moved"
        computed = "" if self.arithmetic.precision == "fp32" else f"|{self.arithmetic.precision}"
        return fingerprint(self.model, computed + moved)

    def __call__(self, batch: Batch) -> Knowledge:
        """Return the logits [B, C] of the model for the batch's inputs."""
        self.model.eval()
        self._answering.eval()
        self.asked += len(batch.inputs)
        with torch.inference_mode():
            parts = [
                self.arithmetic.forward(self._answering, part).logits
                for part in torch.split(batch.inputs, self._at_once)
            ]
        return Knowledge(logits=torch.cat(parts))  # made outside of inference mode, so autograd may save it

    def _speed_up(self, sample: Tensor, precision: Wish) -> None:
        work = max(multiply_adds(self.model, sample), 1)
        self._answering = folded(self.model, sample)
        self.arithmetic = choose(precision, self._answering, sample, work * NOMINAL_BATCH)
        if self.arithmetic.channels_last:
            self._answering.net.to(memory_format=torch.channels_last)
        if sample.device.type == "cpu":
            self._at_once = min(max(WORK_AT_ONCE // work, LEAST_AT_ONCE), MOST_AT_ONCE)


def fingerprint(model: Adapted, how: str = "") -> str:
    """Return a SHA-256 (hex) of what decides a model's answers: weights, buffers, modules and normalisation.

    how: what else decides them.
    """
    normalise = model.normalise
    before = normalise and [normalise.mean.tolist(), normalise.std.tolist()]
    return hashlib.sha256(f"{checksum(model.net)}|{model.net!r}|{before}{how}".encode()).hexdigest()
