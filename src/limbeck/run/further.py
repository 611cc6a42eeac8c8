"""Further tasks of a plan: read from the recipe, and each one's own part of a run as a plan of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import torch

from limbeck.data.dataset import Data
from limbeck.data.further import FurtherTask, further_task
from limbeck.errors import UserError
from limbeck.recipe.further import TaskTeacherSection
from limbeck.run.model_plan import Heads, ModelPlan
from limbeck.teachers.base import Teacher
from limbeck.teachers.module import ModuleTeacher
from limbeck.teachers.several import SeveralTeachers

if TYPE_CHECKING:
    from limbeck.evaluate.verdict import Verdict
    from limbeck.recipe.model import Recipe
    from limbeck.run.answers import Answers
    from limbeck.run.plan import Plan, TeacherPlan

CPU = torch.device("cpu")
FOLDER = "tasks"  # of a run, in which each further task has one of its own


@dataclass(frozen=True, eq=False)
class FurtherPlan:
    """A further task, and who teaches it; None for nobody."""

    task: FurtherTask
    teacher: TeacherPlan | None


@dataclass(eq=False)
class FurtherFindings:
    """What is known about every model of a run in a further task.

    answers: for the test samples that have a label there, by the model's key in the report, those of the task's own
    teacher under "teacher"; alone, verdict: on the last stage, as if it were the only one and corrected; None without
    controls.
    """

    answers: dict[str, Answers] = field(default_factory=dict)
    alone: Verdict | None = None
    verdict: Verdict | None = None


def further_plans(
    recipe: Recipe, data: Data, teacher_of: Callable[[TaskTeacherSection, Data], TeacherPlan]
) -> tuple[FurtherPlan, ...]:
    """Return the further tasks of a recipe; teacher_of: plans a teacher for the data as its task sees them."""
    found = []
    for name, section in (recipe.tasks or {}).items():
        task = further_task(name, section.classes, data)
        teacher = None if section.teacher is None else teacher_of(section.teacher, task.of(data))
        if teacher is not None and teacher.model.grown:
            raise UserError(f"tasks.{name}.teacher expects a network, got {teacher.model.title}.")
        found.append(FurtherPlan(task, teacher))
    return tuple(found)


def with_heads(student: ModelPlan, tasks: tuple[FurtherPlan, ...], data: Data) -> ModelPlan:
    """Return the plan of a student that answers for further tasks too. Raises UserError for trees."""
    if not tasks:
        return student
    if student.grown:
        raise UserError(
            f"tasks share a network and have a head each, but {student.title} has none; expected a network."
        )
    return replace(student, heads=Heads({one.task.name: one.task.classes for one in tasks}, data.shape))


def plan_of(plan: Plan, further: FurtherPlan) -> Plan:
    """Return what a run does for one further task's teacher, as a plan for that task alone.

    Its data have the task's labels, all of them, and its stages the terms about the task.
    """
    name = further.task.name
    stages = [(stage, stage.objective.of_task(name)) for stage in plan.stages]
    variants = tuple(replace(one, plan=plan_of(one.plan, further)) for one in plan.variants)
    return replace(
        plan,
        data=further.task.of(plan.data),
        teacher=further.teacher,
        black_box=None,
        ensemble=None,
        stages=tuple(replace(stage, objective=mine) for stage, mine in stages if mine is not None),
        labels_per_class=None,
        unlabelled_classes=(),
        tasks=(),
        variants=variants,
    )


def taught(plan: Plan) -> list[FurtherPlan]:
    """Return the further tasks that have a teacher."""
    return [one for one in plan.tasks if one.teacher is not None]


def with_untrained(plan: Plan, first: Teacher | None, device: torch.device = CPU) -> Teacher | None:
    """Return the teachers of all tasks as they are before they are trained; first: that of the main one."""
    others = {}
    for one in taught(plan):
        assert one.teacher is not None
        others[one.task.name] = ModuleTeacher(one.teacher.model.make(len(one.task.classes), plan.seeds[0]).to(device))
    return SeveralTeachers(first, others) if others else first
