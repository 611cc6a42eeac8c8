"""Student and teacher are listened to: at all layers until the terms have chosen some, then at those alone."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from limbeck.models.adapt import Adapted
from limbeck.models.stages import stages_of
from limbeck.objectives.base import Context
from limbeck.objectives.objective import Objective
from limbeck.teachers.base import Teacher
from limbeck.types import Batch, Outputs


def listen(model: Adapted, objective: Objective, teacher: Teacher | None, batch: Batch, samples: int) -> Context:
    """Make model and teacher give every feature that the terms may compare; return what the terms are prepared with.

    batch: a few samples to try it on; samples: the number of training samples. Nothing is listened to where no term
    looks at features. Raises ModelError for a layer that somebody named and that cannot be listened to.
    """
    model.answer_as_source(objective.remembers_source)
    both = teacher if objective.compares_features else None
    aligned = objective.aligned_layers
    through = teacher.answer if teacher is not None and "gradients" in teacher.provides else None
    if both is None and aligned is None:
        return Context(student=model, samples=samples, teacher=through)
    named, their_named = objective.named_layers
    mine, theirs = stages_of(model, batch.inputs), () if both is None else both.layers(batch.inputs)
    model.listen_to((*mine, *named, *(aligned or ())))
    if both is not None:
        both.listen_to((*theirs, *their_named), batch.inputs)
    return Context(model, samples, student_layers=mine, teacher_layers=theirs, teacher=through)


def narrow(model: Adapted, objective: Objective, teacher: Teacher | None, batch: Batch) -> None:
    """Make model and teacher give the features that the prepared terms compare, and no others."""
    both = teacher if objective.compares_features else None
    aligned = objective.aligned_layers
    if both is None and aligned is None:
        return
    mine, theirs = objective.compared_layers
    model.listen_to((*mine, *(aligned or ())))
    if both is not None:
        both.listen_to(theirs, batch.inputs)


def leave(model: Adapted, objective: Objective, teacher: Teacher | None, batch: Batch) -> None:
    """Make model and teacher give no features again."""
    model.listen_to(())
    model.answer_as_source(False)
    if teacher is not None and objective.compares_features:
        teacher.listen_to((), batch.inputs)


def heard(teacher: Teacher | None, forward: Callable[[Tensor], Outputs]) -> Callable[[Tensor], Outputs]:
    """Return the student's forward pass as one whose outputs a teacher hears that changes within the fit."""
    if teacher is None or teacher.moving is None:
        return forward

    def passing(inputs: Tensor) -> Outputs:
        outputs = forward(inputs)
        teacher.hear(outputs)
        return outputs

    return passing
