"""A student, and its controls alike, that start from layers of the run's teacher."""

from __future__ import annotations

from limbeck.errors import ModelError
from limbeck.models.adapt import Adapted, Normalise
from limbeck.models.inherit import copy_layers, matching, share_of
from limbeck.run.plan import Plan

LISTED = 6


def start_from(student: Adapted, teacher: Adapted, plan: Plan) -> None:
    """Copy the layers that the plan names from the trained teacher into a student that is about to be trained."""
    assert plan.student.layers is not None
    copy_layers(student.net, teacher.net, plan.student.layers)


def copied(plan: Plan) -> tuple[dict[str, str], str]:
    """Return which weights the student takes from the teacher, by their names, and a sentence on it; empty for none.

    Raises ModelError where none fit, and where the two are fed differently.
    """
    layers = plan.student.layers
    if layers is None:
        return {}, ""
    assert plan.teacher is not None  # the recipe has checked it
    student, teacher = (plan.model(made, plan.seeds[0]) for made in (plan.student, plan.teacher.model))
    if not _fed_alike(student.normalise, teacher.normalise):
        raise ModelError(
            "The student starts from layers of the teacher, which expect the teacher's normalisation, but its own is "
            "another one; give student.normalise and teacher.normalise the same value."
        )
    pairs = matching(student.net, teacher.net, layers)
    told = [f"{name} from {other}" for name, other in pairs.items() if name.endswith("weight")]
    more = f" and {len(told) - LISTED} more" if len(told) > LISTED else ""
    return pairs, (
        f"The student and its controls start from weights of the teacher, {share_of(student.net, pairs):.0%} of the "
        f"student's parameters ({', '.join(told[:LISTED])}{more}); the verdict says what the teacher's answers add."
    )


def _fed_alike(mine: Normalise | None, theirs: Normalise | None) -> bool:
    if mine is None or theirs is None:
        return mine is theirs
    return mine.mean.tolist() == theirs.mean.tolist() and mine.std.tolist() == theirs.std.tolist()
