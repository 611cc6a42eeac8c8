"""Samples on which student and teacher are far apart (data-free adversarial distillation, Fang et al. 2019)."""

from __future__ import annotations

from torch import Tensor


def disagreement(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the negative mean absolute difference of logits [B, C], 0 or less.

    Its gradient stays as large where the two nearly agree, which that of a divergence does not.
    """
    return -(student - teacher).abs().mean()
