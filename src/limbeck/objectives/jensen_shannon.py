"""Divergence to a mixture of both distributions (generalised Jensen-Shannon; GKD, Agarwal et al. 2024)."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from limbeck.objectives.base import CLASSIFICATION, Term, log_softened, promote
from limbeck.types import Batch, Knowledge, Outputs


def jensen_shannon(logits: Tensor, log_target: Tensor, temperature: float, beta: float = 0.5) -> Tensor:
    """Return `T^2 * (beta * KL(p_t || m) + (1 - beta) * KL(p_s || m))`, m = beta p_t + (1 - beta) p_s, in nats.

    logits: the student's [B, C]; log_target: the teacher's log probabilities at T [B, C]; summed over classes, averaged
    over the batch. At beta 0 and 1, where the formula is 0, KL(p_t || p_s) and KL(p_s || p_t) take its place.
    """
    log_student = torch.log_softmax(promote(logits) / temperature, dim=1)
    scale = temperature**2 / len(logits)
    if beta in (0.0, 1.0):
        first, second = (log_target, log_student) if beta == 0.0 else (log_student, log_target)
        return _divergence(first, second) * scale
    mixture = torch.logaddexp(log_target + math.log(beta), log_student + math.log1p(-beta))
    return (beta * _divergence(log_target, mixture) + (1 - beta) * _divergence(log_student, mixture)) * scale


def _divergence(first: Tensor, second: Tensor) -> Tensor:
    """Return KL(first || second), summed; both log probabilities [B, C]."""
    return functional.kl_div(second, first, reduction="sum", log_target=True)


class JensenShannon(Term):
    """Divergence of teacher and student from their mixture, bounded even where the student gives a class no chance.

    temperature: what logits are divided by, above 0; beta: 0..1, the teacher's share of the mixture. Small beta
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
    ) -> None:
        super().__init__()
        self.temperature = temperature
        self.beta = beta

    def forward(self, student: Outputs, teacher: Knowledge, batch: Batch) -> Tensor:
        """Return the loss, a scalar of at least 0."""
        log_target = log_softened(teacher, self.temperature).detach()
        return jensen_shannon(student.logits, log_target, self.temperature, self.beta)
