"""What a recipe keeps from the student, and by what else that has to be made up for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from limbeck.recipe.choices import TERMS
from limbeck.synthesis.presets import ASK_ALONE

if TYPE_CHECKING:
    from limbeck.recipe.model import Recipe


def check_hidden_classes(recipe: Recipe) -> None:
    """Raise ValueError where classes are hidden from the student and nobody else can tell of them."""
    named = {"unlabelled_classes": recipe.data.unlabelled_classes, "unseen_classes": recipe.data.unseen_classes}
    hidden = [key for key, classes in named.items() if classes]
    if not hidden:
        return
    teacher, terms = recipe.teacher, [term for stage in recipe.resolved_stages() for term in stage.objective]
    asked = teacher is not None and any(term.is_own or TERMS[term.name].needs for term in terms)
    if not asked and recipe.student.source is None:
        raise ValueError(f"data.{hidden[0]}: only a teacher can tell of these classes, but no term asks one")
    if teacher is not None and (teacher.labels == "same" or teacher.itself or teacher.mutual):
        raise ValueError(
            f"data.{hidden[0]}: the teacher would know no more of these classes than the student; expected one that is "
            f"trained on all labels, or a finished one"
        )


def check_selecting(recipe: Recipe) -> None:
    """Raise ValueError where a checkpoint is selected by a target that is not there, or is not the student's."""
    for stage in recipe.resolved_stages():
        how = stage.train.select if stage.train is not None else "validation"
        if how != "validation" and recipe.data.target is None:
            raise ValueError(f"train.select: {how} looks at samples of data.target, but there is none; got {how!r}")
    if recipe.teacher is not None and recipe.teacher.train.select != "validation":
        raise ValueError("teacher.train.select expects validation: the teacher is trained on labels of the source")


def check_generated(recipe: Recipe) -> None:
    """Raise ValueError where a recipe with generated samples lacks a teacher to make them by, or labels to learn."""
    made, teacher = recipe.data.generated, recipe.teacher
    assert made is not None  # the caller looks
    if teacher is None or teacher.itself or teacher.mutual:
        raise ValueError("data.generated is made from a teacher that is there before the student; name one by teacher")
    if teacher.per_seed or (teacher.labels == "same" and recipe.data.labels_per_class is not None):
        raise ValueError("data.generated is one pool for all seeds, made from one teacher; leave out teacher.per_seed")
    if not teacher.is_one_model and made.preset not in ASK_ALONE:
        raise ValueError(
            f"the preset {made.preset} looks into the teacher, got one that only answers, or several; expected the "
            f"preset proxy, with samples of another source, or evolution, which asks many questions"
        )
    if made.preset == "evolution" and teacher.source is not None and teacher.source.startswith("labels:"):
        raise ValueError("the preset evolution asks about new samples, but a file of answers knows its own alone")
    for stage in recipe.resolved_stages():
        named = [term.name for term in stage.objective if not term.is_own]
        taught = any(TERMS[name].needs for name in named) or len(named) < len(stage.objective)
        if "cross_entropy" in named and taught and made.real != "together":
            raise ValueError(
                f"stage {stage.name}: cross_entropy learns labels, which generated samples have none of; take "
                f"teacher_labels, or a stage of its own with data.generated.real: labels, or real: together"
            )
        if not taught and made.real == "none":
            raise ValueError(
                f"stage {stage.name} asks no teacher, so it learns real labels; set data.generated.real: labels"
            )
