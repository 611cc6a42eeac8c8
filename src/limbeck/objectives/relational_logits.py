"""Agreement in relations between probabilities in place of their values (DIST, Huang et al. 2022)."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from limbeck.objectives.base import CLASSIFICATION, Term, log_softened, promote
from limbeck.types import Batch, Knowledge, Outputs

ROUNDING = 8  # units in the last place by which a constant row may seem to vary
SHORTEST = 1e-15  # of a deviation whose square float32 can still hold


def correlation(first: Tensor, second: Tensor, dim: int) -> Tensor:
    """Return Pearson's correlation of two tensors [B, C] along a dimension, [B] or [C], in -1..1.

    It is 0, without a gradient, where one of the two is constant.
    """
    (mine, mine_varies), (theirs, theirs_varies) = _direction(first, dim), _direction(second, dim)
    return torch.where(mine_varies & theirs_varies, (mine * theirs).sum(dim=dim), 0.0)


def _direction(values: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Return the deviations from the mean as unit vectors along a dimension, and which are more than rounding."""
    deviations = values - values.mean(dim=dim, keepdim=True)
    length = deviations.norm(dim=dim, keepdim=True)
    rounding = ROUNDING * torch.finfo(values.dtype).eps * values.detach().norm(dim=dim, keepdim=True)
    varies = length > rounding.clamp_min(SHORTEST)
    return deviations / torch.where(varies, length, 1.0), varies.squeeze(dim)


def relational_logits(
    logits: Tensor, log_target: Tensor, temperature: float, inter: float = 1.0, intra: float = 1.0
) -> Tensor:
    """Return `T^2 * (inter * (1 - mean_i rho(row i)) + intra * (1 - mean_j rho(column j)))`.

    logits: the student's [B, C]; log_target: the teacher's log probabilities at T [B, C]; rho: the correlation between
    the student's and the teacher's probabilities at T, of the classes within a row and of the samples within a column.
    A single sample has no columns to correlate: that part is then 0.
    """
    student, teacher = torch.softmax(promote(logits) / temperature, dim=1), log_target.exp()
    rows = 1 - correlation(student, teacher, dim=1).mean()
    columns = 1 - correlation(student, teacher, dim=0).mean() if len(logits) > 1 else 0.0
    return temperature**2 * (inter * rows + intra * columns)


class RelationalLogits(Term):
    """One less the correlation of the two models' probabilities, across classes and across the samples of a batch.

    temperature: what logits are divided by, above 0; inter: weight of the part across classes, within each sample;
    intra: weight of the part across samples, within each class. It asks for the teacher's relations, not for its very
    probabilities, for teachers that are much stronger than the student. Published (Huang et al. 2022, DIST): weight 1
    beside cross-entropy 1, on CIFAR-100 with inter 1 and intra 1 at T 4; the paper's tables have those of other tasks.
    """

    needs = frozenset({"probs"})
    tasks = CLASSIFICATION
    additive = False

    def __init__(
        self,
        temperature: Annotated[float, Field(gt=0, le=1000)] = 1.0,
        inter: Annotated[float, Field(ge=0)] = 1.0,
        intra: Annotated[float, Field(ge=0)] = 1.0,
    ) -> None:
        super().__init__()
        self.temperature = temperature
        self.inter = inter
        self.intra = intra

    def forward(self, student: Outputs, teacher: Knowledge, batch: Batch) -> Tensor:
        """Return the loss, a scalar of at least 0."""
        log_target = log_softened(teacher, self.temperature).detach()
        return relational_logits(student.logits, log_target, self.temperature, self.inter, self.intra)
