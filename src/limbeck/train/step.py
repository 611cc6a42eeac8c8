"""One optimizer step: forward, loss, backward, update; a large batch may be taken in parts.

Shapes: B samples in the batch, T terms of the objective.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from limbeck.errors import ObjectiveError
from limbeck.objectives.objective import Objective
from limbeck.train import ranks
from limbeck.train.phases import UNMEASURED, Phases
from limbeck.types import Batch, Knowledge, Outputs

Lesson = tuple[Batch, Knowledge]


@dataclass(frozen=True, eq=False)
class Step:
    """What takes a step: the student's forward pass, the objective, what goes backward from a loss, the optimizer.

    Of several processes each has a slice of the batch, and `backward` averages the student's gradients over them.
    """

    forward: Callable[[Tensor], Outputs]
    objective: Objective
    backward: Callable[[Tensor], None]
    optimizer: torch.optim.Optimizer
    phases: Phases = UNMEASURED

    def __call__(self, parts: Sequence[Lesson], rate: float, epoch: float = 0.0, *, measure: bool = False) -> Tensor:
        """Take a step at a learning rate, this many epochs on; return the loss and its parts, detached, [1 + T].

        parts: the batch with what the teacher said about it, or its parts one after the other, whose gradients add up
        to those of the whole: each term counts in a part by the share of the rows that it is a mean over. measure:
        whether gradients are measured, where they are balanced; by the first part of the batch.
        """
        self.optimizer.zero_grad(set_to_none=True)
        shares, firsts = self._shares(parts), [measure, *[False] * (len(parts) - 1)]
        figures = [
            self._go_backward(*part, share, epoch, first)
            for part, share, first in zip(parts, shares, firsts, strict=True)
        ]
        with self.phases("optimizer"):
            ranks.average_gradients(self.objective)
            for group in self.optimizer.param_groups:
                group["lr"] = rate * group.get("factor", 1.0)
            self.optimizer.step()
        return figures[0] if len(figures) == 1 else torch.stack(figures).sum(0)

    def _go_backward(
        self, batch: Batch, knowledge: Knowledge, shares: Tensor | None, epoch: float, measure: bool
    ) -> Tensor:
        with self.phases("forward"):
            loss, parts = self.objective(self.forward(batch.shown), knowledge, batch, shares, epoch, measure)
        with self.phases("backward"):
            self.backward(loss if ranks.world() == 1 else loss * ranks.world())
        return torch.stack([loss.detach(), *parts.values()])

    def _shares(self, parts: Sequence[Lesson]) -> Sequence[Tensor | None]:
        if len(parts) == 1 and ranks.world() == 1:
            return [None]
        counts = torch.stack([self.objective.counted(knowledge, batch) for batch, knowledge in parts])
        return list(counts / ranks.total(counts.sum(0)).clamp_min(1))


def check_accumulation(model: nn.Module, objective: Objective, parts: int) -> None:
    """Raise ObjectiveError where a step in parts would not equal the step of the whole batch."""
    if parts == 1:
        return
    if names := objective.not_additive:
        raise ObjectiveError(
            f"train.accumulate is {parts}, but {' and '.join(names)} relates the samples of a batch to each other, so "
            f"its parts do not add up; set train.accumulate to 1."
        )
    norms = [name for name, module in model.named_modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    if norms:
        raise ObjectiveError(
            f"train.accumulate is {parts}, but the model has batch norm ({norms[0]}), whose statistics are those of "
            f"each part; set train.accumulate to 1, or take a model without batch norm."
        )


def can_compile(objective: Objective) -> bool:
    """Whether steps may be compiled: not where one goes backward several times, or mostly asks the module itself."""
    return objective.balance is None and not objective.adversarial


def check_compiling(objective: Objective, wish: str) -> None:
    """Raise ObjectiveError where compiled steps are wished for that cannot be, or gradients cannot be measured.

    wish: what the recipe says of compiling.
    """
    if wish == "always" and objective.adversarial:
        raise ObjectiveError(
            f"train.compile is always, but {objective.adversarial[0]} asks the student itself many times in a step, "
            f"which is not compiled; leave one of them out."
        )
    if objective.balance is None:
        return
    if ranks.world() > 1:
        raise ObjectiveError(
            "balance: gradients measures the gradient of a whole batch, of which each of several processes has but a "
            "slice; start one process alone, or take the weights that a run of one process reports."
        )
    if wish == "always":
        raise ObjectiveError(
            "train.compile is always, but balance: gradients goes backward several times, which compiled steps cannot; "
            "leave one of them out."
        )
