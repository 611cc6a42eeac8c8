"""Stages that an earlier stage teaches: teacher assistants, and generations that each teach the next."""

from __future__ import annotations

import torch

from limbeck.run.fits import Workshop
from limbeck.run.jobs import Trained
from limbeck.run.plan import Plan
from limbeck.run.stage_plan import StagePlan
from limbeck.run.within import teacher_within
from limbeck.teachers.base import Teacher, check_untouched
from limbeck.teachers.module import ModuleTeacher

CPU = torch.device("cpu")


class OwnTeachers:
    """The students of earlier stages as teachers, each made once, when a fit asks for it."""

    def __init__(self, workshop: Workshop) -> None:
        self.workshop = workshop
        self._made: dict[tuple[Trained, bool], Teacher] = {}

    def of(self, stage: StagePlan, trained: Trained) -> Teacher:
        """Return a student of the stage that a stage names as its teacher."""
        key = (trained, self.workshop.remembers(stage))
        if key not in self._made:
            self._made[key] = self.workshop.student_as_teacher(trained, remembers=key[1])
        return self._made[key]

    def check(self) -> None:
        """Raise Failure where one of them changed while it taught."""
        check_untouched(self._made.values())


def untrained(plan: Plan, stage: StagePlan, device: torch.device = CPU) -> Teacher | None:
    """Return the student that will teach a stage, as it is before it has learned; None where the run's teacher does."""
    if plan.teaches_within and stage.teacher is None:
        return teacher_within(plan, stage, plan.model(plan.learner(stage), plan.seeds[0]), plan.seeds[0], device)
    named = next((one for one in plan.stages if one.name == stage.teacher), None)
    return None if named is None else ModuleTeacher(plan.model(plan.learner(named), plan.seeds[0]).to(device))


def lineage(plan: Plan, stage: StagePlan) -> list[StagePlan]:
    """Return a stage and all that it comes from, by weights or by teaching, the latest first."""
    names, found = {stage.name}, []
    for other in reversed(plan.stages):
        if other.name in names:
            found.append(other)
            names |= {other.start, other.teacher or ""}
    return found


def hears_the_teacher(plan: Plan, stage: StagePlan) -> bool:
    """Whether the teacher of the run has a part in what a stage's student learned."""
    return not plan.teaches_within and any(one.objective.needs and one.teacher is None for one in lineage(plan, stage))
