"""A student that is held to what it said at its start: when that is what a run tries, and how much it kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from limbeck.objectives.learning_without_forgetting import LearningWithoutForgetting

if TYPE_CHECKING:
    from limbeck.run.answers import Answers, Floats
    from limbeck.run.plan import Plan

REMEMBERING = "Learning without forgetting"
NAMED = 12


def judges_memory(plan: Plan) -> bool:
    """Whether learning_without_forgetting is what a run tries: no other term takes the place of labels or adds to them.

    The controls of such a run do without it; where a teacher has a part they are held as the student is.
    """
    objectives = [stage.objective for stage in plan.stages]
    others = any(one.needs or one.aligns or one.adversarial for one in objectives)
    return any(one.remembers_source for one in objectives) and not others and plan.generated is None


def unheld(plan: Plan) -> tuple[type[LearningWithoutForgetting], ...]:
    """Return the terms that controls lack because they are what a run tries."""
    return (LearningWithoutForgetting,) if judges_memory(plan) else ()


def old_and_new(plan: Plan, answers: Mapping[str, Answers]) -> list[str]:
    """Say how often models are right on classes that the student's start knew, and on new ones.

    answers: by what the model is called. Where there are not both, a run that tries to keep the old ones says that it
    measured no forgetting.
    """
    names = plan.student.names
    known = () if names is None else names.known
    old = _are_of(plan, known)
    if names is None or not old.any() or old.all():
        return [_nothing_measured(known)] if judges_memory(plan) else []
    right = {who: one.correct for who, one in answers.items()}
    told = [f"{who} {_percent(one[:, old])} and {_percent(one[:, ~old])}" for who, one in right.items()]
    return [
        f"Right on classes that the start knew ({_listed(names.known)}), and on new ones ({_listed(names.new)}): "
        f"{'; '.join(told)}."
    ]


def _nothing_measured(known: Sequence[str]) -> str:
    if known:
        return (
            "The start knew all of these classes, so the verdict is on them; what it forgot of earlier data shows when "
            "these are given to limbeck evaluate."
        )
    return (
        "No test sample is of a class that the start is known to have known, so the verdict is on the new classes "
        "alone, and says nothing of what was forgotten."
    )


def _are_of(plan: Plan, classes: Sequence[str]) -> NDArray[np.bool_]:
    """Return which test samples are of some classes, bool [N]."""
    numbers = [plan.data.classes.index(name) for name in classes]
    found: NDArray[np.bool_] = np.isin(plan.data.test.labels.cpu().numpy(), numbers)
    return found


def _percent(right: Floats) -> str:
    return f"{100 * float(right.mean()):.1f} %"


def _listed(classes: Sequence[str]) -> str:
    return ", ".join(classes[:NAMED]) + (" and others" if len(classes) > NAMED else "")
