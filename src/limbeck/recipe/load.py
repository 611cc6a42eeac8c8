"""A recipe from YAML text, with every mistake at once, each with its line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from limbeck.errors import RecipeError, did_you_mean
from limbeck.recipe.mistakes import Place, dotted, sentences
from limbeck.recipe.model import Recipe
from limbeck.recipe.setting import set_value
from limbeck.recipe.sweep import variants_of

LARGEST = 10_000  # values in a recipe, each alias counted wherever it is used


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe file; overrides: 'a.b=value' settings. Raises RecipeError with every mistake."""
    try:
        text = path.read_text(encoding="utf-8")
    except IsADirectoryError:
        raise RecipeError([f"{path} is a folder; expected a YAML file."], str(path)) from None
    except FileNotFoundError:
        near = did_you_mean(path.name, [p.name for p in path.parent.glob("*.y*ml")] if path.parent.is_dir() else [])
        raise RecipeError([f"there is no such file.{near}"], str(path)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError([f"it cannot be read as UTF-8 text: {error}."], str(path)) from None
    return parse_recipe(text, overrides, source=str(path))


def parse_recipe(text: str, overrides: Sequence[str] = (), *, source: str = "recipe") -> Recipe:
    """Turn YAML text into a recipe. Raises RecipeError with every mistake."""
    content, lines, mistakes = _read_yaml(text, source)
    for override in overrides:
        if sentence := _override(content, override):
            mistakes.append(sentence)
    try:
        recipe: Recipe | None = Recipe.model_validate(content)
    except ValidationError as error:
        recipe = None
        mistakes += sentences(error.errors(), lines)
    if mistakes or recipe is None:
        raise RecipeError(mistakes, source)
    if recipe.sweep is not None:
        variants_of(recipe, source)
    return recipe


def dump_recipe(recipe: Recipe) -> str:
    """Return a recipe as YAML with every default filled in."""
    content = recipe.model_dump(mode="json", by_alias=True)
    readable = yaml.safe_dump(content, sort_keys=False, default_flow_style=None, width=100, allow_unicode=True)
    if yaml.safe_load(readable) == content:
        return readable
    return yaml.safe_dump(content, sort_keys=False, default_flow_style=None, width=100)  # a rare line break, escaped


def _read_yaml(text: str, source: str) -> tuple[dict[str, Any], dict[Place, int], list[str]]:
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        if _is_too_large(node):
            raise RecipeError([f"it has more than {LARGEST:,} values, aliases (*name) followed."], source)
        content = _own(yaml.safe_load(text))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark is not None else ""
        problem = getattr(error, "problem", None) or " ".join(str(error).split())
        raise RecipeError([f"{where}this is not YAML: {problem}."], source) from None
    except ValueError as error:
        raise RecipeError([f"one of its values cannot be read: {error}; put it in quotes."], source) from None
    except RecursionError:
        raise RecipeError(["it is nested too deeply to be a recipe."], source) from None
    if not isinstance(content, dict):
        raise RecipeError(["expected keys such as data:, teacher:, student: and objective:; found none."], source)
    lines: dict[Place, int] = {}
    mistakes = list(_walk(node, (), lines))
    return content, lines, mistakes


def _is_too_large(node: yaml.Node | None) -> bool:
    """Whether a document holds too many values; one whose aliases contain themselves has no end."""
    waiting, seen = [node], 0
    while waiting and seen <= LARGEST:
        one = waiting.pop()
        seen += 1
        if isinstance(one, yaml.MappingNode):
            waiting += [part for pair in one.value for part in pair]
        elif isinstance(one, yaml.SequenceNode):
            waiting += one.value
    return seen > LARGEST


def _own(value: Any) -> Any:
    """Return a copy in which every alias has a value of its own, so that --set changes one place alone."""
    if isinstance(value, dict):
        return {key: _own(inner) for key, inner in value.items()}
    return [_own(inner) for inner in value] if isinstance(value, list) else value


def _walk(node: yaml.Node | None, place: Place, lines: dict[Place, int]) -> Iterator[str]:
    """Note the line of every key; yield a sentence for a key that is given twice."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = (*place, str(key.value))
            if inner in lines:
                yield f"{dotted(inner)} (line {key.start_mark.line + 1}): given twice; first on line {lines[inner]}."
                continue
            lines[inner] = key.start_mark.line + 1
            yield from _walk(value, inner, lines)
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            lines[(*place, number)] = value.start_mark.line + 1
            yield from _walk(value, (*place, number), lines)


def _override(content: dict[str, Any], override: str) -> str | None:
    """Apply 'a.b=value' in place; return a sentence when it cannot be done."""
    path, equals, text = override.partition("=")
    if not equals or not all(path.strip().split(".")):
        return f"--set {override}: expected key.key=value, such as student.train.lr=0.001."
    try:
        value = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        return f"--set {override}: the value is not YAML."
    problem = set_value(content, path.strip(), value)
    return problem and f"--set {override}: {problem}"
