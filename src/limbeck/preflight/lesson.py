"""The student's lesson as the run will give it, on copies. B: samples in the batch."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor

from limbeck.errors import UserError
from limbeck.models.adapt import Adapted
from limbeck.objectives.objective import Objective
from limbeck.preflight.questions import StandIn
from limbeck.preflight.subject import Subject
from limbeck.run.further import with_untrained
from limbeck.run.own_teacher import untrained
from limbeck.run.stage_plan import StagePlan
from limbeck.teachers.base import Teacher
from limbeck.teachers.module import ModuleTeacher
from limbeck.train.hearing import listen, narrow
from limbeck.train.loop import Lesson
from limbeck.train.order import order_of
from limbeck.train.settings import Settings
from limbeck.types import Batch, Knowledge, known

SHOWN = 2  # samples that layers are tried on


class Rehearsal:
    """One fit, played on copies: batches, knowledge and loss as the run has them.

    by: who teaches, where that is not the teacher of the run. Raises UserError where the model or a term cannot work
    with the others.
    """

    def __init__(
        self,
        subject: Subject,
        model: Adapted,
        objective: Objective,
        lesson: Lesson,
        settings: Settings,
        *,
        taught: bool,
        by: Teacher | None = None,
    ) -> None:
        self.model = copy.deepcopy(model).to(subject.device)
        self.objective = copy.deepcopy(objective).at_peak()
        self.lesson, self.settings = lesson, settings
        run = None if by is not None or not taught else _teacher_of_the_run(subject, lesson)
        self.teacher = with_untrained(subject.plan, run, subject.device) if taught and by is None else by
        self.objective.check_task(subject.plan.data.task)
        self.objective.check(self.teacher.provides if self.teacher else frozenset())
        self._order = order_of(lesson.rows, lesson.samples.domain, subject.plan.seeds[0])
        with sentences_for("student"), torch.no_grad():
            batch = self.batch(0)
            few = replace(batch, inputs=batch.inputs[:SHOWN])
            context = listen(self.model, self.objective, self.teacher, few, len(lesson.samples))
            outputs = self.model.eval()(batch.inputs)
            self.objective.prepare(outputs, self.knowledge(batch), context)
            narrow(self.model, self.objective, self.teacher, few)
        self.objective.to(subject.device)
        self.model.train()

    def batch(self, step: int) -> Batch:
        """Return the batch that the run shows in a step."""
        rows, showing = self._order.batch(step, self.settings.batch_size)
        views, device = self.lesson.views, self.lesson.samples.device
        view = None if views is None else views.number(showing).to(device)
        return self.lesson.samples.batch(rows, view=view, views=views, labels=self.lesson.labels)

    def knowledge(self, batch: Batch) -> Knowledge:
        """Return what the teacher says about a batch."""
        return self.teacher(batch) if self.teacher is not None else Knowledge()

    @property
    def recalls(self) -> bool:
        """Whether the run asks the teacher once for each sample and view, or not at all."""
        return self.teacher is None or self.lesson.views is None or self.lesson.views.count != "fresh"

    def loss(self, batch: Batch, knowledge: Knowledge) -> Tensor:
        """Return the loss of a batch, a scalar."""
        loss: Tensor = self.objective(self.model(batch.inputs), knowledge, batch)[0]
        return loss


def _teacher_of_the_run(subject: Subject, lesson: Lesson) -> Teacher | None:
    """Return the teacher of the run as it is, or one that stands in for it where every question counts."""
    if subject.teacher is not None:
        return ModuleTeacher(copy.deepcopy(subject.teacher).to(subject.device))
    box = subject.plan.black_box
    if box is None:
        return None
    teacher = box.open(lesson.samples, subject.plan.data.train)
    return teacher if box.metered is None else StandIn(teacher)


def student_rehearsal(subject: Subject, stage: StagePlan) -> Rehearsal:
    """Return the rehearsal of the student's stage, from the student's starting weights."""
    labels = subject.plan.visible_labels(subject.plan.seeds[0])
    rows = subject.plan.data.train
    rows = rows if stage.objective.uses_unlabelled else rows[known(labels[rows])]
    lesson = Lesson(subject.pool, rows, subject.plan.data.validation, labels, subject.plan.views)
    taught, by = bool(stage.objective.needs), untrained(subject.plan, stage, subject.device)
    return Rehearsal(subject, subject.learner(stage), stage.objective, lesson, stage.settings, taught=taught, by=by)


def teacher_rehearsal(subject: Subject) -> Rehearsal | None:
    """Return the rehearsal of the teacher's own training; None where it is not trained in the run."""
    plan = subject.plan.teacher
    if plan is None or plan.settings is None or subject.teacher is None or plan.model.grown:
        return None
    rows, labels = subject.plan.lesson_of(plan, subject.plan.seeds[0])
    lesson = Lesson(subject.pool, rows, subject.plan.data.validation, labels, plan.views)
    objective = Objective([(1.0, subject.plan.task.label())])
    return Rehearsal(subject, subject.teacher, objective, lesson, plan.settings, taught=False)


@contextmanager
def sentences_for(role: str) -> Iterator[None]:
    """Turn whatever a model of the user's own raises into a UserError with a sentence."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else "no message"
        raise UserError(f"The {role} cannot be trained: {type(error).__name__}: {reason}.") from error
