"""What of the training samples student and controls are shown corrupted: from a recipe's section to a plan."""

from __future__ import annotations

from typing import TYPE_CHECKING

from limbeck.errors import UserError
from limbeck.recipe.corruptions import CorruptionsSection
from limbeck.robustness.corrupting import Corrupting
from limbeck.robustness.corruptions import CORRUPTIONS, named
from limbeck.run.corrupted import are_pictures

if TYPE_CHECKING:
    from limbeck.run.plan import Plan


def corrupting_of(section: CorruptionsSection | None, seed: int) -> Corrupting | None:
    """Return what a recipe asks for, None where it asks for nothing."""
    if section is None:
        return None
    chosen = {one.name for one in named(section.names, pictures=True)}
    kinds = tuple(one for one in CORRUPTIONS if one.name in chosen)
    return Corrupting(kinds, section.severities, section.share, seed)


def check_corrupting(plan: Plan) -> None:
    """Raise UserError where a plan cannot show its student corrupted samples."""
    if plan.corrupting is None:
        return
    if not are_pictures(plan.data.pool):
        raise UserError("data.corruptions change pictures of 8 bits, but samples are rows of numbers; leave it out.")
    if plan.peer is not None:
        raise UserError("data.corruptions is about one student, but in teacher.mutual two learn; leave one out.")
    if plan.student.grown:
        raise UserError(f"{plan.student.title} is grown at once on samples as they are; leave data.corruptions out.")
    if making := [name for stage in plan.stages for name in stage.objective.adversarial]:
        raise UserError(f"{making[0]} changes samples by itself, so data.corruptions do not go with it; leave one out.")
