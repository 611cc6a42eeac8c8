"""How a student is moved that was trained before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from limbeck.errors import UserError
from limbeck.models.freeze import unfreezing
from limbeck.recipe.adapt import BACKBONE, Frozen, way_of

if TYPE_CHECKING:
    from limbeck.data.dataset import Data
    from limbeck.recipe.model import Recipe
    from limbeck.run.model_plan import ModelPlan
    from limbeck.run.plan import Plan

DEFAULT = (
    "The student starts from other weights, so its classifier learns alone for the first quarter of the steps, then "
    "all of it (linear probe, then fine-tuning); student.adapt: full trains all of it from the first step."
)


def spelled_out(recipe: Recipe, student: ModelPlan, data: Data) -> tuple[Recipe, tuple[str, ...]]:
    """Return a recipe with the stages that `student.adapt` stands for, and a note where nobody asked for them."""
    way = way_of(recipe)
    if way == "full":
        return recipe, ()
    notes = () if recipe.student.adapt is not None else (DEFAULT,)
    ways: dict[str, tuple[Frozen | None, ...]] = {"probe": (BACKBONE,), "probe_then_tune": (BACKBONE, None)}
    return recipe.in_stages(ways.get(way) or _one_after_another(recipe, student, data)), notes


def _one_after_another(recipe: Recipe, student: ModelPlan, data: Data) -> tuple[Frozen | None, ...]:
    """Return what each stage freezes where a network is unfrozen from its end on, beside what is frozen throughout."""
    model = student.make(len(data.classes), recipe.seed)
    *parts, _ = unfreezing(model, data.pool.batch(data.train[:2]).inputs)
    return (*((*part, *recipe.student.freeze) for part in parts), None)


def check_remembering(plan: Plan) -> None:
    """Raise UserError where a stage shall not forget, but begins with a student that knows nothing."""
    for stage in plan.stages:
        if stage.objective.remembers_source and stage.start == "scratch" and plan.learner(stage).anew is None:
            raise UserError(
                f"learning_without_forgetting holds the student of stage {stage.name} to what it said at its start, "
                f"but it starts from new weights; give student.source, or from: with an earlier stage."
            )
