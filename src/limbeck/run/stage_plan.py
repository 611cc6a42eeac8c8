"""One stage of a plan: who learns, from whom, by which objective and settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from limbeck.data.further import FurtherTask
from limbeck.errors import ObjectiveError
from limbeck.models.lora import Lora
from limbeck.objectives.base import Term
from limbeck.objectives.objective import Objective
from limbeck.objectives.of_task import OfTask
from limbeck.recipe.choices import TERMS, build_choice, own_options
from limbeck.recipe.model import StageSection
from limbeck.recipe.own import build_own
from limbeck.recipe.schedule import weight_of
from limbeck.recipe.schema import Choice
from limbeck.train.settings import Settings

if TYPE_CHECKING:
    from limbeck.run.model_plan import ModelPlan


@dataclass(frozen=True, eq=False)
class StagePlan:
    """One stage: the stage it starts from ("scratch" for new weights), its objective and settings.

    teacher: the earlier stage whose student of the same seed teaches, None for the teacher of the run; student: who
    learns, None for the student that ships; freeze: what it leaves as it is, see `limbeck.models.freeze`; lora: the
    adapters that learn in the place of all weights, None for none.
    """

    name: str
    start: str
    objective: Objective
    settings: Settings
    teacher: str | None = None
    student: ModelPlan | None = None
    freeze: tuple[str, ...] = ()
    lora: Lora | None = None


def count_of_teaching(stages: Sequence[StagePlan]) -> int:
    """Return how many stages have a student that teaches another one."""
    return len({stage.teacher for stage in stages if stage.teacher is not None})


def stage_plan(stage: StageSection, student: ModelPlan | None, tasks: Mapping[str, FurtherTask]) -> StagePlan:
    """Return the plan of a resolved stage; student: who learns in it, None for the student that ships; tasks: those
    that terms may be about beside the main one, by name.
    """
    pairs = [(weight_of(term.options["weight"]), _of_task(_term(term), term, tasks)) for term in stage.objective]
    objective = Objective(pairs, balance=stage.balance)
    assert stage.train is not None  # resolved
    assert stage.start is not None  # resolved
    settings = Settings(**dict(stage.train))
    lora = None if stage.lora is None else Lora(**dict(stage.lora))
    return StagePlan(stage.name, stage.start, objective, settings, stage.teacher, student, stage.freeze or (), lora)


def _of_task(term: Term, choice: Choice, tasks: Mapping[str, FurtherTask]) -> Term:
    name = choice.options["task"]
    return term if name is None else OfTask(term, tasks[name])


def _term(choice: Choice) -> Term:
    if not choice.is_own:
        known: Term = build_choice(choice, TERMS)
        return known
    options = own_options(choice)
    term = build_own(choice.name, Term, {}, options)  # type: ignore[type-abstract]
    if lost := [name for name in options if not hasattr(term, name)]:
        raise ObjectiveError(
            f"{choice.name} does not keep its argument {lost[0]}; a term stores every argument as an attribute of the "
            f"same name, by which it is described."
        )
    return term
