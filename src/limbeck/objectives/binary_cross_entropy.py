"""Cross-entropy of several labels at once: each is a question of its own, yes or no."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from limbeck.objectives.base import MULTI_LABEL
from limbeck.objectives.label_term import LabelTerm
from limbeck.types import Knowledge


def binary_cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Return `-y log sigmoid(z) - (1 - y) log(1 - sigmoid(z))` of each row [B], in nats; both [B, C], summed over C."""
    each = functional.binary_cross_entropy_with_logits(logits, target.to(logits.dtype), reduction="none")
    return each.sum(dim=1)


class BinaryCrossEntropy(LabelTerm):
    """Cross-entropy of yes and no for each label by itself, summed over labels, averaged over the labelled rows."""

    tasks = MULTI_LABEL

    def losses(self, answers: Tensor, labels: Tensor, teacher: Knowledge) -> Tensor:
        """Return the loss of each row [B]."""
        return binary_cross_entropy(answers, labels)
