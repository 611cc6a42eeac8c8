"""Several tasks at once: what a recipe says of those beside the main one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, model_validator

from limbeck.errors import did_you_mean
from limbeck.objectives.of_task import SHARED, shared_sentence
from limbeck.recipe.choices import TERMS
from limbeck.recipe.schema import Choice, Strict
from limbeck.recipe.sources import TRAINED, kind_of
from limbeck.recipe.teacher import OriginSection

if TYPE_CHECKING:
    from limbeck.recipe.model import Recipe

NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
Group = Annotated[tuple[str, ...], Field(min_length=1)]
TAKEN = ("main", "source")  # what heads are called already


class TaskTeacherSection(OriginSection):
    """Who teaches a further task: one model, trained here on the task's labels, all that there are, or finished.

    model: its architecture.
    source: `run:DIR` (a model folder of the task's classes) or `file:WEIGHTS.safetensors`.
    normalise: what its pictures go through first.
    train: how it is trained.
    """

    @model_validator(mode="after")
    def _one_model(self) -> TaskTeacherSection:
        self.check_origin()
        kind = kind_of(self.source)
        if kind not in TRAINED or self.classes is not None or self.ready:
            told = "one with classes of its own" if kind in TRAINED else f"one from {kind}:"
            raise ValueError(f"the teacher of a further task is trained here or comes from run: or file:, got {told}")
        return self


class FurtherSection(Strict):
    """A task beside the main one, on the same samples: a head of its own on the same network.

    classes: its classes, each a list of those classes of the data that it is made of; a sample of a class in no list
    has no label in this task.
    teacher: who teaches it; nobody unless given.
    """

    classes: Annotated[dict[str, Group], Field(min_length=2)]
    teacher: TaskTeacherSection | None = None

    @model_validator(mode="before")
    @classmethod
    def _names_are_text(cls, given: Any) -> Any:
        groups = given.get("classes") if isinstance(given, dict) else None
        if not isinstance(groups, dict):
            return given
        told = {
            str(key): [str(one) for one in many] if isinstance(many, list) else many for key, many in groups.items()
        }
        return {**given, "classes": told}

    @model_validator(mode="after")
    def _each_class_once(self) -> FurtherSection:
        every = [name for group in self.classes.values() for name in group]
        if twice := [name for place, name in enumerate(every) if name in every[:place]]:
            raise ValueError(f"classes: {twice[0]!r} is named twice; a sample has one class in each task")
        return self


def check_further(recipe: Recipe) -> None:
    """Raise ValueError where tasks and the terms about them do not fit each other, or the rest of a recipe."""
    tasks = recipe.tasks or {}
    for name in tasks:
        if name in TAKEN or not NAME.fullmatch(name):
            raise ValueError(
                f"tasks: expected names of a-z, 0-9 and _ that begin with a letter, other than {' and '.join(TAKEN)}, "
                f"got {name!r}"
            )
    for stage in recipe.resolved_stages():
        for term in stage.objective:
            _check_term(term, recipe)
        if stage.balance == "uncertainty" and not tasks:
            raise ValueError("balance: uncertainty weighs tasks against each other, but there are no `tasks`")
    if not tasks:
        return
    if refused := next(_not_beside(recipe), None):
        raise ValueError(f"tasks: {refused}")
    stages = recipe.resolved_stages()
    terms = [term for stage in stages for term in stage.objective]
    for name in tasks if stages else ():
        about = [term for term in terms if term.options["task"] == name]
        if not about:
            raise ValueError(f"tasks.{name}: no term is about it; give one `task: {name}`")
        _check_teacher(recipe, name, about)
    if stages and all(term.options["task"] for term in terms):
        raise ValueError("tasks: no term is about the main task, the classes of the data; add one without `task`")


def _check_term(term: Choice, recipe: Recipe) -> None:
    name, tasks = term.options["task"], recipe.tasks or {}
    if name is None:
        return
    if name not in tasks:
        if not tasks:
            raise ValueError(f"{term.name} is about the task {name!r}, but there is no `tasks` section")
        raise ValueError(
            f"{term.name}: there is no task {name!r}.{did_you_mean(name, tasks)} There are {', '.join(tasks)}"
        )
    if not term.is_own and issubclass(TERMS[term.name], SHARED):
        raise ValueError(shared_sentence(term.name, name).removesuffix("."))


def _check_teacher(recipe: Recipe, name: str, terms: list[Choice]) -> None:
    """Check that a further task has a teacher where its terms ask one, and only there."""
    asking = [term.name for term in terms if term.is_own or TERMS[term.name].needs]
    teacher = (recipe.tasks or {})[name].teacher
    if asking and teacher is None and asking[0] in TERMS:
        raise ValueError(f"{asking[0]} of the task {name} needs a teacher, but tasks.{name} has no teacher section")
    if teacher is not None and not asking:
        raise ValueError(f"tasks.{name}.teacher: no term about this task asks a teacher; leave it out")


def _not_beside(recipe: Recipe) -> Iterator[str]:
    """Yield what several tasks do not go with."""
    teacher, stages = recipe.teacher, recipe.resolved_stages()
    if recipe.data.task != "classification":
        yield f"each of several tasks names a class, got data.task {recipe.data.task!r}"
    if recipe.data.generated is not None:
        yield "generated samples have labels of no task; leave data.generated out"
    if teacher is not None and (teacher.itself or teacher.mutual):
        yield "each task has a teacher that is there before the student; leave teacher.self and teacher.mutual out"
    if wrong := [stage.name for stage in stages if stage.teacher is not None or stage.student is not None]:
        yield f"stages of a student or teacher of their own know the main task alone; got one in stage {wrong[0]}"
    if any(term.name == "shared_classifier" for stage in stages for term in stage.objective):
        yield "shared_classifier puts another classifier where the heads of the tasks are; leave it out"
    if recipe.knowledge.path is not None and any(one.teacher for one in (recipe.tasks or {}).values()):
        yield "knowledge.path names one folder, but each teacher has one of its own; leave it out"
