"""Which terms fit a teacher or a task, in words."""

from __future__ import annotations

from collections.abc import Iterable

import limbeck.objectives
from limbeck.objectives.base import Term, snake_case
from limbeck.types import TaskName


def terms_for(provides: frozenset[str]) -> list[str]:
    """Return the recipe names of the terms that a teacher providing this can serve."""
    classes = (getattr(limbeck.objectives, name) for name in limbeck.objectives.__all__)
    return [
        snake_case(kind.__name__)
        for kind in classes
        if isinstance(kind, type) and issubclass(kind, Term) and kind.needs <= provides
    ]


def task_sentence(name: str, made_for: Iterable[str], task: TaskName) -> str:
    """Say that a term does not go with a task, and which terms do; made_for: the tasks that it goes with."""
    classes = (getattr(limbeck.objectives, one) for one in limbeck.objectives.__all__)
    fitting = [snake_case(kind.__name__) for kind in classes if task in kind.tasks and "features" not in kind.needs]
    return (
        f"{name} is for {listed(made_for)}, but data.task is {task}. Terms that fit: {', '.join(fitting)}, and those "
        f"on features."
    )


def listed(words: Iterable[str]) -> str:
    """Return words in alphabetical order, "and" between them."""
    return " and ".join(sorted(words))
