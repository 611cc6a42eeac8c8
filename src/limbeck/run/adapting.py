"""How a student is moved that was trained before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from limbeck.errors import UserError

if TYPE_CHECKING:
    from limbeck.run.plan import Plan


def check_remembering(plan: Plan) -> None:
    """Raise UserError where a stage shall not forget, but begins with a student that knows nothing."""
    for stage in plan.stages:
        if stage.objective.remembers_source and stage.start == "scratch" and plan.learner(stage).anew is None:
            raise UserError(
                f"learning_without_forgetting holds the student of stage {stage.name} to what it said at its start, "
                f"but it starts from new weights; give student.source, or from: with an earlier stage."
            )
