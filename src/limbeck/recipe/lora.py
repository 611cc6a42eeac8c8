"""Low-rank adapters in a recipe: their section, and what they go with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from limbeck.models.lora import Lora
from limbeck.recipe.adapt import starts_elsewhere
from limbeck.recipe.schema import section_of

if TYPE_CHECKING:
    from limbeck.recipe.model import Recipe, StageSection

LoraSection: Any = section_of(Lora, name="Lora")

UNFIT = {
    "l2_sp": "l2_sp pulls the weights back to where they started, and with lora they never leave it",
    "shared_classifier": "shared_classifier freezes the classifier, and with lora it learns",
}
"""Terms that do not go with adapters, and why."""


def check_lora(recipe: Recipe) -> None:
    """Raise ValueError where a recipe wishes for adapters beside what they do not go with."""
    student = recipe.student
    if student.lora is not None and recipe.stages is not None:
        raise ValueError("student.lora stands beside an objective; with stages, give it to each stage that has it")
    if student.lora is not None and student.adapt in ("probe", "gradual"):
        raise ValueError(
            f"student.lora trains adapters where the whole network would learn, which student.adapt {student.adapt!r} "
            f"does not; say probe_then_tune or full, or leave lora out"
        )
    for stage in recipe.resolved_stages():
        if stage.lora is not None:
            _check_stage(recipe, stage, "student.lora" if recipe.stages is None else f"stage {stage.name}: lora")


def _check_stage(recipe: Recipe, stage: StageSection, key: str) -> None:
    if stage.start == "scratch" and not _is_trained(recipe, stage):
        raise ValueError(
            f"{key} moves a model that was trained before, but it starts from new weights; give it a source, or "
            f"pretrained or weights of a library's model, or a stage of its own after one that trains all weights"
        )
    if stage.freeze:
        raise ValueError(f"{key} freezes all but its adapters and the classifier by itself; leave freeze out")
    if reasons := [UNFIT[term.name] for term in stage.objective if term.name in UNFIT]:
        raise ValueError(f"{key}: {reasons[0]}; leave one of them out")
    if stage.train is not None and stage.train.layer_decay != 1:
        raise ValueError(f"{key}: train.layer_decay is for weights that learn themselves; leave one of them out")
    if recipe.teacher is not None and recipe.teacher.itself is not None and stage.teacher is None:
        raise ValueError(f"{key}: teacher.itself averages all of the student's weights; leave one of them out")


def _is_trained(recipe: Recipe, stage: StageSection) -> bool:
    """Whether who learns in a stage starts from weights of elsewhere."""
    if stage.student is not None:
        return starts_elsewhere(stage.student)
    return recipe.student.source is not None or starts_elsewhere(recipe.student)
