"""What samples are made by: the weighted sum of terms, from a teacher and, where one learns beside, a student.

Shapes: B samples, C classes, D dimensions of a feature vector.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from limbeck.models.adapt import Adapted
from limbeck.models.arithmetic import PLAIN, Arithmetic
from limbeck.objectives.domain_term import vectors
from limbeck.synthesis.activation import activation
from limbeck.synthesis.adversarial import adversarial
from limbeck.synthesis.balance import balance
from limbeck.synthesis.batch_norm import Moments, batch_norm
from limbeck.synthesis.contrastive import Memory, contrastive
from limbeck.synthesis.disagreement import disagreement
from limbeck.synthesis.one_hot import one_hot
from limbeck.synthesis.total_variation import total_variation
from limbeck.synthesis.weights import Weights


@dataclass(frozen=True)
class Said:
    """What the teacher says about samples: logits [B, C]; features [B, D] before its classifier, None where it has no
    hidden layer; heard: what went into the layers whose moments are known, by name.
    """

    logits: Tensor
    features: Tensor | None
    heard: Mapping[str, Tensor]


@dataclass(frozen=True, eq=False)
class Guide:
    """Judges samples. Teacher and student are in evaluation mode and get no gradient.

    layer: of the teacher, the one before its classifier, which it gives as features; moments: what is known of its
    layers' inputs, maybe nothing; student, memory: None where no term asks for them; arithmetic: how all networks that
    take part compute.
    """

    teacher: Adapted
    weights: Weights
    moments: Moments
    layer: str | None = None
    student: Adapted | None = None
    memory: Memory | None = None
    arithmetic: Arithmetic = PLAIN

    def ask(self, samples: Tensor) -> Said:
        """Return what the teacher says about samples [B, ...]."""
        with self.teacher.hearing(tuple(self.moments)) as heard:
            outputs = self.arithmetic.forward(self.teacher, samples)
        features = None if self.layer is None else vectors(outputs.features[self.layer])
        return Said(outputs.logits, features, {name: value.float() for name, value in heard.items()})

    def loss(self, samples: Tensor, classes: Tensor | None) -> tuple[Tensor, dict[str, float]]:
        """Return the loss of samples [B, ...], a scalar, and its parts, unweighted.

        classes: int64 [B], what the samples are to be; None where they may be anything.
        """
        said = self.ask(samples)
        parts = self._parts(samples, classes, said)
        total = torch.stack([getattr(self.weights, name) * part for name, part in parts.items()]).sum()
        return total, {name: float(part.detach()) for name, part in parts.items()}

    def _parts(self, samples: Tensor, classes: Tensor | None, said: Said) -> dict[str, Tensor]:
        """Return the terms that count and can be computed here."""
        weights, parts = self.weights, {}
        if weights.one_hot:
            parts["one_hot"] = one_hot(said.logits, classes)
        if weights.balance:
            parts["balance"] = balance(said.logits)
        if weights.activation and said.features is not None:
            parts["activation"] = activation(said.features)
        if weights.batch_norm and self.moments:
            parts["batch_norm"] = batch_norm(said.heard, self.moments)
        if (weights.adversarial or weights.disagreement) and self.student is not None:
            answers = self.arithmetic.forward(self.student, samples).logits
            if weights.adversarial:
                parts["adversarial"] = adversarial(answers, said.logits)
            if weights.disagreement:
                parts["disagreement"] = disagreement(answers, said.logits)
        if weights.contrastive and self.memory is not None and said.features is not None:
            others = self.ask(_shifted(samples)).features
            assert others is not None
            parts["contrastive"] = contrastive(said.features, others, self.memory.known())
        if weights.total_variation and samples.ndim == 4:
            parts["total_variation"] = total_variation(samples)
        return parts


def _shifted(samples: Tensor) -> Tensor:
    """Return another view of samples: pictures rolled by up to an eighth of a side, vectors with a tenth of noise."""
    if samples.ndim != 4:
        return samples + 0.1 * samples.detach().std() * torch.randn_like(samples)
    most = [max(1, side // 8) for side in samples.shape[2:]]
    down, across = (int(torch.randint(-far, far + 1, ())) for far in most)
    return samples.roll((down, across), dims=(2, 3))
