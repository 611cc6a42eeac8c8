"""Divergence to a mixture of both distributions (generalised Jensen-Shannon; GKD, Agarwal et al. 2024)."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from limbeck.objectives.base import CLASSIFICATION, Term, log_softened, promote
from limbeck.objectives.per_sample import PerSample, needs_of, sample_weights
from limbeck.objectives.soft_labels import divergence
from limbeck.types import Batch, Knowledge, Outputs


def jensen_shannon(
    logits: Tensor, log_target: Tensor, temperature: float, beta: float = 0.5, weights: Tensor | None = None
) -> Tensor:
    """Return `T^2 * (beta * KL(p_t || m) + (1 - beta) * KL(p_s || m))`, m = beta p_t + (1 - beta) p_s, in nats.

    logits: the student's [B, C]; log_target: the teacher's log probabilities at T [B, C]; summed over classes, averaged
    over the batch; weights: [B], what each sample's divergence is multiplied by first. At beta 0 and 1, where the
    formula is 0, KL(p_t || p_s) and KL(p_s || p_t) take its place.
    """
    log_student = torch.log_softmax(promote(logits) / temperature, dim=1)
    scale = temperature**2 / len(logits)
    if beta in (0.0, 1.0):
        first, second = (log_target, log_student) if beta == 0.0 else (log_student, log_target)
        return divergence(second, first, weights) * scale
    mixture = torch.logaddexp(log_target + math.log(beta), log_student + math.log1p(-beta))
    theirs, mine = divergence(mixture, log_target, weights), divergence(mixture, log_student, weights)
    return (beta * theirs + (1 - beta) * mine) * scale


class JensenShannon(Term):
    """Divergence of teacher and student from their mixture, bounded even where the student gives a class no chance.

    temperature: what logits are divided by, above 0; beta: 0..1, the teacher's share of the mixture; per_sample:
    multiply each sample's loss by the teacher's confidence or correctness, see the mathematics. Small beta
    behaves as soft labels do (the student covers all that the teacher finds likely), large beta as their mirror image
    (the student keeps to what the teacher finds likeliest). beta 0 and 1 are soft labels and their mirror image
    themselves, as in programs that train language models; the formula tends to 0 there, so the loss jumps at both ends.
    Published (Agarwal et al. 2024, GKD): weight 1 without cross-entropy, beta 0.1, 0.5 or 0.9 by task, T 1.
    """

    needs = frozenset({"probs"})
    tasks = CLASSIFICATION

    def __init__(
        self,
        temperature: Annotated[float, Field(gt=0, le=1000)] = 1.0,
        beta: Annotated[float, Field(ge=0, le=1)] = 0.5,
        per_sample: PerSample | None = None,
    ) -> None:
        super().__init__()
        self.temperature = temperature
        self.beta = beta
        self.per_sample = per_sample
        self.needs = needs_of(type(self).needs, per_sample)

    def forward(self, student: Outputs, teacher: Knowledge, batch: Batch) -> Tensor:
        """Return the loss, a scalar of at least 0."""
        log_target = log_softened(teacher, self.temperature).detach()
        weights = sample_weights(teacher, batch, self.per_sample)
        return jensen_shannon(student.logits, log_target, self.temperature, self.beta, weights)
