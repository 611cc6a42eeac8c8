"""Soft labels: the teacher's whole distribution, softened by a temperature (Hinton, Vinyals, Dean 2015)."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from limbeck.errors import ObjectiveError
from limbeck.objectives.base import CLASSIFICATION, Term, log_softened, promote
from limbeck.objectives.per_sample import PerSample, needs_of, sample_weights
from limbeck.types import Batch, Knowledge, Outputs, TopK


def soft_labels(
    logits: Tensor, log_target: Tensor, temperature: float | Tensor, weights: Tensor | None = None
) -> Tensor:
    """Return `T^2 * KL(p_t^T || p_s^T)`, summed over classes, averaged over the batch, in nats.

    logits: the student's [B, C]; log_target: the teacher's log probabilities at T [B, C]; T^2 keeps the
    gradient's size independent of T (section 2 of the paper). weights: [B], what each sample's divergence is multiplied
    by; the sum is divided by B all the same.
    """
    log_student = torch.log_softmax(promote(logits) / temperature, dim=1)
    return divergence(log_student, log_target, weights) * (temperature**2 / len(logits))


def divergence(log_student: Tensor, log_target: Tensor, weights: Tensor | None) -> Tensor:
    """Return KL(target || student), summed over classes and samples; both log probabilities [B, C]; weights: [B]."""
    if weights is None:
        return functional.kl_div(log_student, log_target, reduction="sum", log_target=True)
    each = functional.kl_div(log_student, log_target, reduction="none", log_target=True).sum(dim=1)
    return (each * weights.to(each.dtype)).sum()


def soft_labels_of_top(logits: Tensor, top: TopK, temperature: float, weights: Tensor | None = None) -> Tensor:
    """Return the same divergence where only the teacher's K highest logits are known, the others as one class.

    logits: the student's [B, C]. The teacher's mass on the C - K others is compared with the student's mass on them,
    so K = C gives the divergence itself, and fewer classes a lower bound of it. Raises ObjectiveError for a temperature
    at which the others were not summed. weights: as for all logits.
    """
    if temperature not in top.tails:
        listed = ", ".join(f"{one:g}" for one in sorted(top.tails))
        raise ObjectiveError(
            f"soft_labels asks at temperature {temperature:g}, but the top {top.values.shape[1]} of the teacher's "
            f"answers were kept for {listed}; add it to knowledge.temperatures."
        )
    log_student = torch.log_softmax(promote(logits) / temperature, dim=1)
    log_listed = log_student.gather(1, top.classes)
    scores = promote(top.values) / temperature
    if top.values.shape[1] < logits.shape[1]:
        others = log_student.scatter(1, top.classes, -torch.inf).logsumexp(dim=1, keepdim=True)
        log_listed = torch.cat([log_listed, others], dim=1)
        scores = torch.cat([scores, top.tails[temperature].to(scores.dtype)[:, None]], dim=1)
    log_target = torch.log_softmax(scores, dim=1)
    return divergence(log_listed, log_target, weights) * (temperature**2 / len(logits))


def standardised(logits: Tensor) -> Tensor:
    """Return each row of logits [B, C] as (z - mean) / (std + 1e-7), unbiased std (Sun et al. 2024)."""
    logits = promote(logits)
    return (logits - logits.mean(dim=1, keepdim=True)) / (logits.std(dim=1, keepdim=True) + 1e-7)


class SoftLabels(Term):
    """Kullback-Leibler divergence from the teacher's softened distribution to the student's, times T^2.

    temperature: what logits are divided by, above 0; standardise: compare rows of logits that were first
    brought to mean 0 and standard deviation 1 (needs a teacher that gives logits); per_sample: multiply each sample's
    divergence by the teacher's confidence or correctness, see the mathematics. Published weights: 0.9
    beside cross-entropy 0.1 at T 4 on CIFAR; 9 at T 2 with standardise (Sun et al. 2024).
    """

    needs = frozenset({"probs"})
    tasks = CLASSIFICATION
    topk = True
    aims = True

    def __init__(
        self,
        temperature: Annotated[float, Field(gt=0, le=1000)] = 4.0,
        standardise: bool = False,
        per_sample: PerSample | None = None,
    ) -> None:
        super().__init__()
        self.temperature = temperature
        self.standardise = standardise
        self.per_sample = per_sample
        self.needs = needs_of(frozenset({"logits"} if standardise else {"probs"}), per_sample)
        self.aims = not standardise

    def aim(self, teacher: Knowledge, batch: Batch, classes: int) -> tuple[Tensor, Tensor]:
        """Return the teacher's distribution at the temperature. Raises ObjectiveError where only its top is known."""
        if teacher.topk is not None:
            raise ObjectiveError(
                f"Trees learn from whole distributions, but only the top {teacher.topk.values.shape[1]} of the "
                f"teacher's answers were kept; give knowledge.top_k the number of classes, {classes}."
            )
        weights = sample_weights(teacher, batch, self.per_sample)
        weights = torch.ones(len(batch.inputs), device=batch.inputs.device) if weights is None else weights
        return log_softened(teacher, self.temperature).exp(), weights

    def forward(self, student: Outputs, teacher: Knowledge, batch: Batch) -> Tensor:
        """Return the loss, a scalar."""
        logits, weights = student.logits, sample_weights(teacher, batch, self.per_sample)
        if teacher.topk is not None:
            return soft_labels_of_top(logits, teacher.topk, self.temperature, weights)
        if self.standardise and teacher.logits is not None:
            logits, teacher = standardised(logits), Knowledge(logits=standardised(teacher.logits))
        return soft_labels(logits, log_softened(teacher, self.temperature).detach(), self.temperature, weights)
