"""One step of everything on copies, so that what cannot work fails before a folder is made."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor

from limbeck.errors import ModelError, ObjectiveError, UserError
from limbeck.models.adapt import Adapted
from limbeck.models.lora import add_adapters
from limbeck.objectives.base import Context
from limbeck.objectives.objective import Objective
from limbeck.run.fits import objective_of
from limbeck.run.further import taught, with_untrained
from limbeck.run.inherit import copied
from limbeck.run.own_teacher import untrained
from limbeck.run.plan import Plan
from limbeck.run.shared import share, shares
from limbeck.run.stage_plan import StagePlan
from limbeck.teachers.base import Teacher
from limbeck.teachers.module import ModuleTeacher
from limbeck.train import ranks
from limbeck.train.hearing import leave, listen
from limbeck.train.step import check_compiling
from limbeck.types import Batch, Knowledge, Outputs, known

Answer = TypeVar("Answer")

MOST_SAMPLES = 4


def rehearse(plan: Plan) -> list[str]:
    """Let teacher and student answer for a few samples, and take the gradient of every stage's objective.

    Returns a line on the weights that the student starts from, where these are the teacher's, and one for each pair of
    layers that terms on features will compare. Raises the UserError of what does not fit: shapes, classes, views,
    terms without a teacher, a student that cannot be trained.
    """
    labels = plan.visible_labels(plan.seeds[0])
    train = plan.data.train
    there = known(labels[train])
    rows = torch.cat([train[there], train[~there]])[:MOST_SAMPLES]
    teachers = [plan.teacher, *(one.teacher for one in taught(plan))]
    for views in (plan.views, *(one.views for one in teachers if one is not None)):
        plan.data.pool.batch(rows, view=torch.ones_like(rows), views=views)
    batch = plan.data.pool.batch(rows, labels=labels)
    teacher = with_untrained(plan, _teacher(plan))
    knowledge = Knowledge() if teacher is None else _says(plan, teacher, batch)
    start = copied(plan)[1]
    pairs: dict[str, None] = {start: None} if start else {}
    for stage in plan.stages:
        stage.objective.check_task(plan.data.task)
        speaker, said = teacher, knowledge
        if (own := untrained(plan, stage)) is not None:
            speaker, said = own, _reporting("teacher", batch.inputs, partial(own, batch))
        stage.objective.check(frozenset() if speaker is None else speaker.provides)
        check_compiling(stage.objective, stage.settings.compile)
        _check_pictures(plan, stage)
        pairs |= dict.fromkeys(_take_a_step(plan, stage, batch, speaker, said))
    return list(pairs)


def _check_pictures(plan: Plan, stage: StagePlan) -> None:
    """Refuse terms that change pixels where there are none."""
    if stage.objective.adversarial and len(plan.data.shape) != 3:
        raise ObjectiveError(
            f"{stage.objective.adversarial[0]} changes each pixel of pictures in 0..1 by epsilon at most, but the data "
            f"has samples of shape {list(plan.data.shape)}; leave it out."
        )


def _teacher(plan: Plan) -> Teacher | None:
    if plan.black_box is not None:
        needed = any(stage.objective.needs and stage.teacher is None for stage in plan.stages)
        if plan.black_box.metered is not None and not needed:
            return None
        return plan.black_box.open(plan.data.pool, plan.data.train)
    return None if plan.teacher is None else ModuleTeacher(plan.model(plan.teacher.model, plan.seeds[0]))


def _says(plan: Plan, teacher: Teacher, batch: Batch) -> Knowledge:
    """Ask the teacher; where every question counts, of several processes the first one alone asks."""
    if plan.black_box is None:
        return _reporting("teacher", batch.inputs, lambda: teacher(batch))
    if plan.black_box.metered is not None:
        if ranks.is_first():
            teacher(batch)
        ranks.total(torch.zeros(1))  # the others wait until its answers are stored
    return teacher(batch)


def _take_a_step(
    plan: Plan, stage: StagePlan, batch: Batch, teacher: Teacher | None, knowledge: Knowledge
) -> list[str]:
    """Take the gradient of a stage's objective in training mode, on as many samples as a step has, at most four.

    Returns a line for each pair of layers that its terms compare.
    """
    count = stage.settings.batch_size
    few = Batch(
        batch.inputs[:count],
        _first(batch.labels, count),
        index=_first(batch.index, count),
        domain=_first(batch.domain, count),
    )
    said = _few(knowledge, count)
    student, objective = plan.model(plan.student, plan.seeds[0]), objective_of(stage, "student").at_peak()
    if stage.lora is not None:
        add_adapters(student, stage.lora, few.inputs, plan.seeds[0])
    if plan.student.grown:
        _try("student", student.eval(), few.inputs)
        objective.aims(said, few, student.classes)
        return []
    if shares(stage) and isinstance(teacher, ModuleTeacher):  # no other one gives features
        share(student, teacher.model, few.inputs, objective)
    if not any(parameter.requires_grad for parameter in student.parameters()):
        raise ModelError("The student has no parameter that can be trained: all are frozen (requires_grad is False).")
    _try("student", student.eval(), few.inputs)
    context = listen(student, objective, teacher, few, len(plan.data.pool))
    outputs = _reporting("student", few.inputs, lambda: student.train()(few.inputs))
    if teacher is not None and objective.compares_features:
        said = teacher(few)
    loss = _loss(objective, outputs, said, few, context)
    if not outputs.logits.requires_grad:
        raise ModelError("The student's logits have no gradient: its forward detaches them or runs without gradients.")
    _reporting("student", few.inputs, loss.backward)
    leave(student, objective, teacher, few)
    return [f"{name} compares {pair}" for name, pairs in objective.pairs.items() for pair in pairs]


def _loss(objective: Objective, outputs: Outputs, said: Knowledge, batch: Batch, context: Context) -> Tensor:
    """Return the loss, a scalar; what a term of the user's own raises becomes a sentence about the objective."""
    try:
        objective.prepare(outputs, said, context)
        loss, parts = objective(outputs, said, batch)
    except UserError:
        raise
    except Exception as error:  # a foreign term may raise anything
        raise ObjectiveError(
            f"The objective {objective.describe()} cannot be computed: {type(error).__name__}: {error}. A term that "
            f"asks the teacher for logits, probs, labels or features names them in `needs`."
        ) from error
    for name, part in parts.items():
        if part.ndim:
            raise ObjectiveError(f"The term {name} returned a tensor of shape {list(part.shape)}; expected a scalar.")
    scalar: Tensor = loss
    return scalar


def _few(knowledge: Knowledge, count: int) -> Knowledge:
    heads = {name: _few(one, count) for name, one in knowledge.heads.items()}
    return Knowledge(logits=_first(knowledge.logits, count), labels=_first(knowledge.labels, count), heads=heads)


def _first(values: Tensor | None, count: int) -> Tensor | None:
    return None if values is None else values[:count]


def _try(name: str, model: Adapted, inputs: Tensor) -> Tensor:
    logits: Tensor = _reporting(name, inputs, lambda: model(inputs)).logits
    return logits


def _reporting(name: str, inputs: Tensor, act: Callable[[], Answer]) -> Answer:
    """Do something with a foreign model; what it raises becomes a sentence."""
    try:
        return act()
    except UserError:
        raise
    except Exception as error:  # a foreign module may raise anything
        first = str(error).splitlines()[0] if str(error) else "no message"
        raise UserError(
            f"The {name} cannot take this data, a batch of shape {list(inputs.shape)}: {type(error).__name__}: {first}."
        ) from error
