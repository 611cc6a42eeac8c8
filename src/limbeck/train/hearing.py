"""Student and teacher are listened to: at all layers until the terms have paired some, then at those alone."""

from __future__ import annotations

from limbeck.models.adapt import Adapted
from limbeck.models.stages import stages_of
from limbeck.objectives.base import Context
from limbeck.objectives.objective import Objective
from limbeck.teachers.base import Teacher
from limbeck.types import Batch


def listen(model: Adapted, objective: Objective, teacher: Teacher | None, batch: Batch, samples: int) -> Context:
    """Make model and teacher give every feature that the terms may compare; return what the terms are prepared with.

    batch: a few samples to try it on; samples: the number of training samples. Nothing is listened to where no term
    looks at features. Raises ModelError for a layer that somebody named and that cannot be listened to.
    """
    if teacher is None or not objective.compares_features:
        return Context(student=model, samples=samples)
    named, their_named = objective.named_layers
    mine, theirs = stages_of(model, batch.inputs), teacher.layers(batch.inputs)
    model.listen_to((*mine, *named))
    teacher.listen_to((*theirs, *their_named), batch.inputs)
    return Context(student=model, samples=samples, student_layers=mine, teacher_layers=theirs)


def narrow(model: Adapted, objective: Objective, teacher: Teacher | None, batch: Batch) -> None:
    """Make model and teacher give the features that the prepared terms compare, and no others."""
    if teacher is None or not objective.compares_features:
        return
    mine, theirs = objective.compared_layers
    model.listen_to(mine)
    teacher.listen_to(theirs, batch.inputs)


def leave(model: Adapted, objective: Objective, teacher: Teacher | None, batch: Batch) -> None:
    """Make model and teacher give no features again."""
    if teacher is not None and objective.compares_features:
        model.listen_to(())
        teacher.listen_to((), batch.inputs)
