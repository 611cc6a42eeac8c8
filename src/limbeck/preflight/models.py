"""Are the models able to run, finite, and of a sensible size?

Shapes: B samples in the batch, C classes.
"""

from __future__ import annotations

import copy

import torch
from torch import nn

from limbeck.errors import UserError
from limbeck.evaluate.cost import Size, size
from limbeck.models.adapt import Adapted
from limbeck.preflight.finding import Finding
from limbeck.preflight.subject import Subject
from limbeck.run.inherit import copied
from limbeck.run.model_plan import ModelPlan
from limbeck.run.plan import Plan
from limbeck.run.starts import leaks, unknown_starts

SHOWN = 2
LARGE_GAP = 100


def build(plan: Plan, model: ModelPlan, role: str) -> tuple[Adapted | None, list[Finding]]:
    """Build a model and show it two training samples; a fault where it cannot answer with C logits.

    role: "teacher" or "student". The fault's name is `teacher_outputs` or `student_outputs`: label spaces of
    different size show here.
    """
    batch = plan.data.pool.batch(plan.data.train[:SHOWN])
    try:
        made = plan.model(model, plan.seeds[0])
        with torch.no_grad():
            copy.deepcopy(made).eval()(batch.inputs)
    except UserError as error:
        return None, [Finding("fault", f"{role}_outputs", f"The {role} does not fit the data: {error}")]
    except Exception as error:  # noqa: BLE001  a model of the user's own may raise anything
        reason = str(error).splitlines()[0] if str(error) else "no message"
        shape = list(batch.inputs.shape)
        sentence = f"The {role} cannot take this data, a batch of shape {shape}: {type(error).__name__}: {reason}."
        return None, [Finding("fault", f"{role}_outputs", sentence)]
    return made, []


def check_weights(subject: Subject) -> list[Finding]:
    """A fault named `weights` for every model with a parameter or buffer that is not finite."""
    return [
        Finding(
            "fault",
            "weights",
            f"The {role}'s {broken[0]} holds values that are not finite"
            f"{f', and so do {len(broken) - 1} more' if broken[1:] else ''}; load or initialise its weights again.",
        )
        for role, model in (("teacher", subject.teacher), ("student", subject.student))
        if model is not None and (broken := not_finite(model.net))
    ]


def not_finite(net: nn.Module) -> list[str]:
    """Return the names of parameters and buffers that hold NaN or infinity."""
    return [
        name
        for name, value in net.state_dict().items()
        if value.is_floating_point() and not bool(torch.isfinite(value).all())
    ]


def check_start(subject: Subject) -> list[Finding]:
    """A note named `start`: which weights the student takes from the teacher; a fault where none fit."""
    sentence = copied(subject.plan)[1]
    return [Finding("note", "start", sentence)] if sentence else []


def check_start_unseen(subject: Subject) -> list[Finding]:
    """A warning named `seen` where the student starts from weights that were trained on test samples of this run.

    A note where they are those of an earlier run that did not record what it was trained on.
    """
    warnings = [Finding("warning", "seen", sentence) for sentence in leaks(subject.plan)]
    return warnings + [Finding("note", "seen", sentence) for sentence in unknown_starts(subject.plan)]


def check_capacity(subject: Subject) -> list[Finding]:
    """A note named `capacity`: how much smaller the student is, and whether the gap is very large or none.

    Nothing for trees, whose size is known once they are grown.
    """
    grown = subject.plan.student.grown or (subject.plan.teacher is not None and subject.plan.teacher.model.grown)
    if subject.teacher is None or subject.student is None or grown:
        return []
    sample = subject.plan.data.pool.batch(subject.plan.data.train[:1]).inputs
    learner = subject.learner(subject.plan.stages[-1])
    teacher, student = (size(copy.deepcopy(model), sample) for model in (subject.teacher, learner))
    sentence = f"Parameters: teacher {teacher.parameters:,}, student {student.parameters:,}."
    return [Finding("note", "capacity", sentence + _judged(teacher, student))]


def _judged(teacher: Size, student: Size) -> str:
    if student.parameters >= teacher.parameters and (student.macs or 0) >= (teacher.macs or 0):
        return " The student is not smaller than the teacher, so nothing is compressed."
    if teacher.parameters > LARGE_GAP * student.parameters:
        return " The gap is large; a student between the two sizes may learn more from this teacher."
    return ""
