"""Weights of tasks that are learned: each task's own uncertainty divides its loss (Kendall, Gal, Cipolla 2018).

Shapes: K terms, T tasks.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Uncertainty(nn.Module):
    """`sum over tasks t of exp(-s_t) L_t + s_t`, where L_t is the weighted sum of the task's terms.

    s is the logarithm of the task's variance, 0 at first, and is trained by the student's optimizer beside it: a loss
    that stays large is divided by more. In the paper s has the factor 1/2, which moves where s ends and not what is
    learned. It is no part of what ships.
    """

    def __init__(self, tasks: Sequence[str]) -> None:
        """tasks: the task of each term, [K]."""
        super().__init__()
        self.tasks = tuple(dict.fromkeys(tasks))
        self.places = [self.tasks.index(one) for one in tasks]
        self.log_variances = nn.Parameter(torch.zeros(len(self.tasks)))

    def factors(self) -> Tensor:
        """Return what each term is multiplied by beside its weight, [K]."""
        return torch.exp(-self.log_variances)[self.places]

    def penalty(self) -> Tensor:
        """Return the sum of s, a scalar, without which every loss would be divided away."""
        return self.log_variances.sum()

    @property
    def learned(self) -> dict[str, float]:
        """What each task's loss is multiplied by as it now stands, exp(-s), by task."""
        return dict(zip(self.tasks, torch.exp(-self.log_variances.detach()).tolist(), strict=True))
