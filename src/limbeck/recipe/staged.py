"""Stages that follow each other: who teaches in one, what it starts from, and which model it trains."""

from __future__ import annotations

from typing import TYPE_CHECKING

from limbeck.recipe.choices import TERMS

if TYPE_CHECKING:
    from limbeck.recipe.model import StageSection


def check_stage(stages: tuple[StageSection, ...], *, is_last: bool) -> None:
    """Raise ValueError where the last of some stages does not fit those before it: its teacher, or its model."""
    *earlier, stage = stages
    place = f"stages.{len(earlier)}"
    names = [one.name for one in earlier]
    if stage.teacher is not None and stage.teacher not in names:
        raise ValueError(
            f"{place}.teacher: expected an earlier stage ({', '.join(names) or 'there is none'}), got {stage.teacher!r}"
        )
    if stage.teacher is not None and not any(term.is_own or TERMS[term.name].needs for term in stage.objective):
        raise ValueError(f"{place}.teacher: no term of stage {stage.name} asks a teacher; leave it out")
    if stage.student is not None and is_last:
        raise ValueError(
            f"{place}.student: the last stage trains the student that ships, the one under student; leave it out here"
        )
    start = stage.start or (names[-1] if names else "scratch")
    before = next((one for one in earlier if one.name == start), None)
    if before is not None and before.student != stage.student:
        raise ValueError(
            f"{place}.from: stage {start} trains another model than stage {stage.name}, so its weights do not fit; "
            f"say from: scratch, got {start!r}"
        )
