"""Samples that the student does not understand yet (Micaelli & Storkey 2019, Fang et al. 2019)."""

from __future__ import annotations

import torch
from torch import Tensor

from limbeck.objectives.soft_labels import soft_labels


def adversarial(student: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:
    """Return `-T^2 * KL(p_t^T || p_s^T)` of logits [B, C], the mean over the batch: the lower, the more they differ."""
    return -soft_labels(student, torch.log_softmax(teacher / temperature, dim=1), temperature)
