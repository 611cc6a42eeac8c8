"""A PyTorch model as a teacher."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor

from limbeck.models.adapt import Adapted
from limbeck.models.arithmetic import PLAIN, Wish, choose
from limbeck.models.folded import ROUNDING, folded
from limbeck.models.stages import stages_of
from limbeck.models.weights import checksum
from limbeck.models.work import multiply_adds
from limbeck.teachers.base import Teacher
from limbeck.types import Batch, Knowledge, Outputs

NOMINAL_BATCH = 128
WORK_AT_ONCE = 4_000_000_000  # multiply-adds: more samples at once drop out of a processor's cache
LEAST_AT_ONCE, MOST_AT_ONCE = 64, 1024


class ModuleTeacher(Teacher):
    """A model in memory. It is put in evaluation mode, frozen, and belongs to no student or wrapper.

    sample: a few inputs [B, ...]; with them the answers come from a copy that is made for speed, with batch norm folded
    and in the precision that is wished for. Answers in bf16 have another fingerprint. The layers of that copy have the
    paths of the model's own; where a layer that is listened to gives something else there, because a norm was folded
    into it, the model itself answers for as long.
    """

    provides = frozenset({"logits", "probs", "labels", "features", "gradients"})

    def __init__(self, model: Adapted, sample: Tensor | None = None, precision: Wish = "auto") -> None:
        self.model = model.eval().requires_grad_(False)
        self.classes = model.classes
        self._answering, self.arithmetic, self._at_once = self.model, PLAIN, MOST_AT_ONCE
        if sample is not None:
            self._speed_up(sample, precision)
        self.precision = "float32" if self.arithmetic.precision == "fp32" else "bfloat16"
        self._listened_to = self._answering
        self._begun = checksum(self._answering.net)
        self.fingerprint = self.current_fingerprint()

    def current_fingerprint(self) -> str:
        """Return the fingerprint of the model as it is now."""
        moved = "" if checksum(self._answering.net) == self._begun else "|moved"
        computed = "" if self.arithmetic.precision == "fp32" else f"|{self.arithmetic.precision}"
        return fingerprint(self.model, computed + moved)

    def __call__(self, batch: Batch) -> Knowledge:
        """Return the logits [B, C] of the model for the batch's inputs, and the features that somebody listens to."""
        self.model.eval()
        self._answering.eval()
        self.asked += len(batch.inputs)
        with torch.inference_mode():
            parts = [
                self.arithmetic.forward(self._listened_to, part) for part in torch.split(batch.inputs, self._at_once)
            ]
        return Knowledge(  # made outside of inference mode, so autograd may save what is in it
            logits=torch.cat([part.logits for part in parts]),
            features={name: torch.cat([part.features[name] for part in parts]) for name in parts[0].features},
        )

    def answer(self, inputs: Tensor) -> Tensor:
        """Return the logits [B, C] of the model for inputs [B, ...], with gradients at these."""
        self._answering.eval()
        self.asked += len(inputs)
        return self.arithmetic.forward(self._answering, inputs).logits

    def layers(self, inputs: Tensor) -> tuple[str, ...]:
        """Return the ends of the model's stages, see `limbeck.models.stages`."""
        return stages_of(self.model, inputs)

    def listen_to(self, names: Sequence[str], inputs: Tensor) -> None:
        """Give these layers' outputs as well, see `Teacher`."""
        self.model.listen_to(names)
        with torch.no_grad():
            wanted = self.model.eval()(inputs)
        self._answering.listen_to(names)
        self._listened_to = self._answering if self._gives(wanted, inputs) else self.model

    @torch.no_grad()
    def _gives(self, wanted: Outputs, inputs: Tensor) -> bool:
        """Whether the copy that answers gives the model's features within rounding."""
        found = self._answering.eval()(inputs).features
        return all(
            bool((found[name] - value).abs().max() <= ROUNDING * value.abs().max())
            for name, value in wanted.features.items()
        )

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
