"""How much each sample counts in a term, by what the teacher says about it.

Shapes: B samples, C classes, K listed classes of a top-K answer.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from limbeck.errors import ObjectiveError
from limbeck.objectives.base import log_softened, promote, top_class
from limbeck.types import Batch, Knowledge, TopK

PerSample = Literal["confidence", "correctness"]
NEEDS: dict[PerSample, frozenset[str]] = {
    "confidence": frozenset({"probs"}),
    "correctness": frozenset({"labels"}),
}


def needs_of(own: frozenset[str], per_sample: PerSample | None) -> frozenset[str]:
    """Return what a term needs of the teacher, with what its weights per sample need."""
    if per_sample is None or (per_sample == "correctness" and own & {"logits", "probs"}):
        return own  # a top class can be told from either
    return own if "logits" in own else own | NEEDS[per_sample]


def sample_weights(teacher: Knowledge, batch: Batch, per_sample: PerSample | None) -> Tensor | None:
    """Return how much each sample counts, 0..1 [B]; None where all count 1."""
    if per_sample is None:
        return None
    return confidence(teacher) if per_sample == "confidence" else correctness(teacher, batch)


def confidence(teacher: Knowledge) -> Tensor:
    """Return `1 - H(p_t) / log C` for each sample, H the entropy of the teacher's distribution at temperature 1: [B].

    1 where the teacher gives one class all, 0 where it gives all classes the same. Where only the K highest are known,
    the others count as one class, of K + 1 in all.
    """
    logs = log_softened(teacher, 1.0) if teacher.topk is None else _log_of_top(teacher.topk)
    entropy = -(logs.exp() * logs.clamp_min(-1e4)).sum(dim=1)  # p log p of nothing is 0
    return (1 - entropy / math.log(logs.shape[1])).clamp(0, 1).detach()


def correctness(teacher: Knowledge, batch: Batch) -> Tensor:
    """Return 0 for each sample whose label is known and not the teacher's top class, 1 for the others: float32 [B].

    Of a mixed sample (mixup) either label does, and both must be known for it to be wrong.
    """
    top = top_class(teacher)
    if batch.labels is None:
        return torch.ones(len(top), device=top.device)
    wrong = (batch.labels >= 0) & (top != batch.labels)
    if batch.partner_labels is not None:
        wrong &= (batch.partner_labels >= 0) & (top != batch.partner_labels)
    return (~wrong).float()


def _log_of_top(top: TopK) -> Tensor:
    """Return the log probabilities of the listed classes, and of the others together, [B, K + 1]."""
    if 1.0 not in top.tails:
        raise ObjectiveError(
            "per_sample: confidence asks at temperature 1, at which the classes that were not kept are not summed; add "
            "1 to knowledge.temperatures."
        )
    values = promote(top.values)
    return torch.log_softmax(torch.cat([values, top.tails[1.0].to(values.dtype)[:, None]], dim=1), dim=1)


def mean(losses: Tensor, weights: Tensor | None) -> Tensor:
    """Return the sum of the samples' losses [B], each times its weight, divided by B."""
    return (losses if weights is None else losses * weights.to(losses.dtype)).mean()
