"""Trees in the place of `fit`: one step over everything that is known about the training rows.

Shapes: N rows (each view of a sample is one), D features, B samples asked about at once, C classes, M terms.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from limbeck.errors import ObjectiveError, TrainingError
from limbeck.models.adapt import Adapted
from limbeck.models.trees import Trees
from limbeck.objectives.objective import Objective
from limbeck.objectives.schedule import Schedule
from limbeck.teachers.base import Teacher
from limbeck.train.loop import EVALUATION_BATCH, Lesson, Progress, accuracy
from limbeck.types import Batch, Knowledge


@dataclass(frozen=True, eq=False)
class Targets:
    """What trees are grown from.

    inputs: float32 [N, D]; targets: float64 [N, C], each a distribution; weights: float64 [N], their mean 1.
    """

    inputs: Tensor
    targets: Tensor
    weights: Tensor


def grow(
    model: Adapted, objective: Objective, lesson: Lesson, *, teacher: Teacher | None = None, seed: int = 0
) -> Progress:
    """Grow a model of trees in place, on the training rows alone; there is nothing to choose on the validation rows.

    Raises ObjectiveError where a term gives no target, or the teacher cannot serve it.
    """
    net = model.net
    assert isinstance(net, Trees)  # the plan says so
    objective.check(teacher.provides if teacher is not None else frozenset())
    check_targets(objective)
    started, before = time.monotonic(), 0 if teacher is None else teacher.asked
    found = targets_of(model.cpu(), objective, lesson, teacher)
    net.grow(found.inputs.numpy(), found.targets.numpy(), found.weights.numpy(), seed)
    net.scale.fill_(next(iter(objective.temperatures), 1.0))
    best = accuracy(model.eval(), lesson.samples, lesson.validation, lesson.labels)
    live = teacher is not None and not teacher.recalls
    return Progress(
        step=1, epoch=1, best_accuracy=best, peak_accuracy=best, best_epoch=1, improved_epoch=1,
        seconds=time.monotonic() - started, asked=teacher.asked - before if live and teacher is not None else 0,
    )  # fmt: skip


def check_targets(objective: Objective) -> None:
    """Raise ObjectiveError where an objective has more to it than a distribution to draw each row to."""
    if names := objective.without_aim:
        raise ObjectiveError(
            f"Trees learn from a target for each row, and {' and '.join(names)} gives none. Terms that do: "
            f"cross_entropy, soft_labels (without standardise), teacher_labels."
        )
    if len(objective.temperatures) > 1:
        told = " and ".join(f"{one:g}" for one in sorted(objective.temperatures))
        raise ObjectiveError(f"Trees learn soft labels at one temperature, got {told}; choose one.")
    if any(isinstance(weight, Schedule) for weight in objective.weights) or objective.balance is not None:
        raise ObjectiveError("Trees are grown in one step, so weights must be numbers: no schedule, no balance.")
    if not all(isinstance(weight, float) and weight > 0 for weight in objective.weights):
        raise ObjectiveError("Trees learn from a mean of targets, so each weight must be above 0.")


def targets_of(model: Adapted, objective: Objective, lesson: Lesson, teacher: Teacher | None) -> Targets:
    """Return what trees are grown from.

    A sum of cross-entropies with several targets is, up to a constant, one cross-entropy with their weighted mean:
    with weight w_m of a term, c_mr of a row in it, and n_m = `counted`, a row counts W_r = sum_m w_m c_mr / n_m, and
    its target is sum_m w_m c_mr / n_m q_mr over W_r. Rows that count nothing are left out.
    """
    parts = [_ask(model, objective, batch, teacher) for batch in _batches(lesson)]
    shown, *said = zip(*parts, strict=True)
    inputs, (each, counts, numbers) = torch.cat(shown), (torch.cat(one, 1) for one in said)
    shares = (
        torch.tensor(objective.weights, dtype=torch.float64)[:, None]
        * counts
        / numbers.sum(1, keepdim=True).clamp_min(1)
    )
    weights = shares.sum(0)
    kept = weights > 0
    if not bool(kept.any()):
        raise TrainingError("There is nothing to grow trees from: no training row has a label or an answer.")
    targets = (shares[:, :, None] * each).sum(0)[kept] / weights[kept][:, None]
    return Targets(inputs[kept], targets, weights[kept] / weights[kept].mean())


def _batches(lesson: Lesson) -> Iterator[Batch]:
    """Yield every view of every training row."""
    count = 1 if lesson.views is None else lesson.views.count
    assert count != "fresh"  # the plan has refused it
    device = lesson.samples.device
    for number in range(count):
        for rows in torch.split(lesson.rows.to(device), EVALUATION_BATCH):
            view = torch.full_like(rows, number)
            labels = lesson.labels.to(device)
            yield lesson.samples.batch(rows, view=view, views=lesson.views, labels=labels)


@torch.no_grad()
def _ask(
    model: Adapted, objective: Objective, batch: Batch, teacher: Teacher | None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return inputs [B, D], targets [M, B, C], what rows count [M, B], and what each term counts [M, 1]."""
    knowledge = teacher(batch) if teacher is not None else Knowledge()
    inputs = batch.inputs.cpu()
    inputs = inputs if model.normalise is None else model.normalise(inputs)
    each, counts = objective.aims(knowledge, batch, model.classes)
    numbers = objective.counted(knowledge, batch)[:, None]
    return inputs.flatten(1).float(), each.cpu().double(), counts.cpu().double(), numbers.cpu().double()
