"""The variants of a recipe with `sweep:`, one for every combination of its values."""

from __future__ import annotations

import copy
import itertools
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from limbeck.errors import RecipeError
from limbeck.recipe.mistakes import sentences
from limbeck.recipe.model import Recipe
from limbeck.recipe.setting import set_value


@dataclass(frozen=True)
class Variant:
    """One point of the grid. name: "01", "02", ...; settings: value, or its name, by dotted name; recipe: without
    `sweep`.
    """

    name: str
    settings: dict[str, Any]
    recipe: Recipe


def variants_of(recipe: Recipe, source: str = "recipe") -> tuple[Variant, ...]:
    """Return the variants of a recipe, the last key varying fastest; none where nothing is swept.

    Raises RecipeError with every mistake that a single value makes, or else that a combination makes.
    """
    if recipe.sweep is None:
        return ()
    content = recipe.model_dump(mode="json", by_alias=True)
    sweep = {path: _named(values) for path, values in content.pop("sweep").items()}
    alone = [[{path: value} for value in values] for path, values in sweep.items()]
    mistakes = [text for point in itertools.chain(*alone) for text in _attempt(content, point)[1]]
    grid = [dict(zip(sweep, values, strict=True)) for values in itertools.product(*sweep.values())]
    tried = [] if mistakes else [(point, *_attempt(content, point)) for point in grid]
    mistakes += [text for *_, wrong in tried for text in wrong]
    if mistakes:
        raise RecipeError(list(dict.fromkeys(mistakes)), source)
    width = max(2, len(str(len(tried))))
    return tuple(
        Variant(f"{number:0{width}}", {path: shown for path, (shown, _) in point.items()}, made)
        for number, (point, made, _) in enumerate(tried, 1)
        if made
    )


def _named(values: list[Any] | dict[str, Any]) -> list[tuple[Any, Any]]:
    """Return what each value is called in the report, with the value: its name where it has one, else itself."""
    return list(values.items()) if isinstance(values, dict) else [(value, value) for value in values]


def title_of(settings: dict[str, Any]) -> str:
    """Return settings in one line by the ends of their names: "temperature=4, weight=0.9"."""
    ends = short_names(list(settings))
    return ", ".join(f"{ends[path]}={value}" for path, value in settings.items())


def short_names(paths: list[str]) -> dict[str, str]:
    """Return the shortest ending of each dotted name that tells it from the others."""
    return {path: next(end for end in _endings(path) if _is_only(end, paths)) for path in paths}


def _endings(path: str) -> list[str]:
    keys = path.split(".")
    return [".".join(keys[-count:]) for count in range(1, len(keys) + 1)]


def _is_only(end: str, paths: list[str]) -> bool:
    return end in paths or sum(path.endswith(f".{end}") for path in paths) == 1


def _attempt(content: dict[str, Any], settings: dict[str, tuple[Any, Any]]) -> tuple[Recipe | None, list[str]]:
    """Return the recipe with these settings, or the sentences about what is wrong with it."""
    changed = copy.deepcopy(content)
    told = ", ".join(f"{path}={shown}" for path, (shown, _) in settings.items())
    for path, (_, value) in settings.items():
        if problem := set_value(changed, path, value):
            return None, [f"sweep: {told}: {problem}"]
    try:
        return Recipe.model_validate(changed), []
    except ValidationError as error:
        return None, [f"sweep: {told}: {sentence}" for sentence in sentences(error.errors(), {})]
