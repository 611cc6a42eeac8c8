"""A pull of the weights towards those that training started from (Li, Grandvalet, Davoine 2018, L2-SP)."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from limbeck.errors import ObjectiveError
from limbeck.models.adapt import Adapted
from limbeck.objectives.base import Context, Term, promote
from limbeck.types import Batch, Knowledge, Outputs

NotNegative = Annotated[float, Field(ge=0)]
Rows = tuple[int, ...] | None  # None for all of them


class L2Sp(Term):
    """`alpha / 2 ||w - w0||^2` over the weights that came from elsewhere, `beta / 2 ||w||^2` over those of a new head.

    w0 are the weights at the start of the stage; the new head is what did not fit the student's source, of a head that
    knew some of the classes the rows of the others, nothing where all weights came from there. alpha: of the way from
    the start, 0 or more; beta: of a new head's weights, 0 or more. It takes the place of weight decay, so set
    `train.weight_decay` to 0. Published: alpha 0.1, beta 0.01.
    """

    unlabelled = False

    def __init__(self, alpha: NotNegative = 0.1, beta: NotNegative = 0.01) -> None:
        super().__init__()
        self.alpha, self.beta = alpha, beta
        self._pulled: tuple[tuple[nn.Parameter, Rows, Tensor], ...] | None = None  # tuples: nothing is registered
        self._new: tuple[tuple[nn.Parameter, Rows], ...] = ()

    def prepare(self, student: Outputs, teacher: Knowledge, context: Context) -> None:
        """Remember the trained weights, and where they are now."""
        net = context.student.net if isinstance(context.student, Adapted) else context.student
        fresh = context.student.fresh if isinstance(context.student, Adapted) else ()
        new_rows = context.student.new_rows if isinstance(context.student, Adapted) else {}
        named = [(name, one) for name, one in net.named_parameters() if one.requires_grad]
        self._new = tuple((one, new_rows.get(name)) for name, one in named if name in fresh or name in new_rows)
        kept = [(one, _others(one, new_rows.get(name))) for name, one in named if name not in fresh]
        self._pulled = tuple((one, rows, _of(one, rows).detach().clone()) for one, rows in kept)

    def forward(self, student: Outputs, teacher: Knowledge, batch: Batch) -> Tensor:
        """Return the penalty, a scalar of at least 0; ObjectiveError when `prepare` was never called."""
        if self._pulled is None:
            raise ObjectiveError(
                "l2_sp does not know the student's weights yet; call objective.prepare(outputs, knowledge, "
                "Context(student, samples)) once before the first step."
            )
        pulled = [promote(_of(one, rows) - start).square().sum() for one, rows, start in self._pulled]
        new = [promote(_of(one, rows)).square().sum() for one, rows in self._new]
        return self.alpha / 2 * _sum(pulled) + self.beta / 2 * _sum(new)


def _of(weights: Tensor, rows: Rows) -> Tensor:
    return weights if rows is None else weights[list(rows)]


def _others(weights: Tensor, rows: Rows) -> Rows:
    return None if rows is None else tuple(row for row in range(len(weights)) if row not in rows)


def _sum(values: list[Tensor]) -> Tensor:
    return torch.stack(values).sum() if values else torch.zeros(())
