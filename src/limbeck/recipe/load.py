"""A recipe from YAML text, with every mistake at once, each with its line."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from limbeck.errors import RecipeError, did_you_mean
from limbeck.recipe.model import Recipe

Place = tuple[Hashable, ...]


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
        if sentence := _apply(content, override):
            mistakes.append(sentence)
    try:
        recipe: Recipe | None = Recipe.model_validate(content)
    except ValidationError as error:
        recipe = None
        mistakes += [_sentence(detail, lines) for detail in error.errors()]
    if mistakes or recipe is None:
        raise RecipeError(mistakes, source)
    return recipe


def dump_recipe(recipe: Recipe) -> str:
    """Return a recipe as YAML with every default filled in."""
    content = recipe.model_dump(mode="json", by_alias=True)
    return yaml.safe_dump(content, sort_keys=False, default_flow_style=None, width=100, allow_unicode=True)


def _read_yaml(text: str, source: str) -> tuple[dict[str, Any], dict[Place, int], list[str]]:
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark is not None else ""
        problem = getattr(error, "problem", None) or str(error)
        raise RecipeError([f"{where}this is not YAML: {problem}."], source) from None
    if not isinstance(content, dict):
        raise RecipeError(["expected keys such as data:, teacher:, student: and objective:; found none."], source)
    lines: dict[Place, int] = {}
    mistakes = list(_walk(node, (), lines))
    return content, lines, mistakes


def _walk(node: yaml.Node | None, place: Place, lines: dict[Place, int]) -> Iterator[str]:
    """Note the line of every key; yield a sentence for a key that is given twice."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = (*place, str(key.value))
            if inner in lines:
                yield f"{_dotted(inner)} (line {key.start_mark.line + 1}): given twice; first on line {lines[inner]}."
            lines[inner] = key.start_mark.line + 1
            yield from _walk(value, inner, lines)
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            lines[(*place, number)] = value.start_mark.line + 1
            yield from _walk(value, (*place, number), lines)


def _apply(content: dict[str, Any], override: str) -> str | None:
    """Apply 'a.b=value' in place; return a sentence when it cannot be done."""
    path, equals, text = override.partition("=")
    keys = path.strip().split(".")
    if not equals or not all(keys):
        return f"--set {override}: expected key.key=value, such as student.train.lr=0.001."
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        return f"--set {override}: the value is not YAML."
    target: Any = content
    for number, key in enumerate(keys):
        last = number == len(keys) - 1
        if isinstance(target, list):
            found = _named(target, key)
            if found is None:
                names = ", ".join(_names(target))
                return f"--set {override}: {'.'.join(keys[:number])} has no {key!r}; there is {names}."
            target, place = found
            if last and isinstance(target, dict):
                target[place] = value
                return None
            if place is not None and isinstance(target, dict):
                target = _open(target, place)
        elif last:
            target[key] = value
        else:
            target = _open(target, key)
        if not isinstance(target, (dict, list)):
            return f"--set {override}: {'.'.join(keys[: number + 1])} is a value, not a section."
    return None


def _open(section: dict[str, Any], key: str) -> Any:
    """Return the section under a key, made when missing; a bare name becomes {name: {}}."""
    inner = section.get(key)
    if inner is None:
        section[key] = {}
    elif isinstance(inner, str):
        section[key] = {inner: {}}
    return section[key]


def _named(items: list[Any], key: str) -> tuple[dict[str, Any], str | None] | None:
    """Find the list item of a name: a term {soft_labels: {...}}, or a stage {name: ...}."""
    for number, item in enumerate(items):
        if item == key:
            items[number] = {key: {}}
            return items[number], key
        if isinstance(item, dict) and key in item and len(item) == 1:
            return item, key
        if isinstance(item, dict) and item.get("name") == key:
            return item, None
    return None


def _names(items: list[Any]) -> Iterator[str]:
    for item in items:
        yield str(item.get("name", next(iter(item), "?")) if isinstance(item, dict) else item)


def _sentence(detail: ErrorDetails, lines: dict[Place, int]) -> str:
    place = tuple(str(part) if not isinstance(part, int) else part for part in detail["loc"])
    place = tuple(part for part in place if not _is_branch(part))
    where = _dotted(place) or "recipe"
    line = next((lines[place[:n]] for n in range(len(place), 0, -1) if place[:n] in lines), None)
    if line is not None:
        where += f" (line {line})"
    if detail["type"] == "extra_forbidden":
        return f"{where}: unknown key.{_suggestion(place)}"
    if detail["type"] == "missing":
        return f"{where}: missing, and it has no default."
    message = detail["msg"].removeprefix("Value error, ")
    message = re.sub(r"^(Input|Value|Tuple|List|String|Dictionary) should (be|match|have)", _expected, message)
    got = "" if "got" in message or isinstance(detail["input"], (dict, list)) else f", got {detail['input']!r}"
    return f"{where}: {message}{got}."


def _expected(found: re.Match[str]) -> str:
    return {"be": "expected", "match": "expected text that matches", "have": "expected"}[found.group(2)]


def _is_branch(part: Hashable) -> bool:
    """Whether a part of pydantic's location names a branch of a union, not a key of the recipe."""
    return isinstance(part, str) and bool(re.search(r"[\[\]()]|^(int|str|float|constrained-\w+|\w+Section)$", part))


def _dotted(place: Place) -> str:
    return ".".join(str(part) for part in place)


def _suggestion(place: Place) -> str:
    known = list(_keys_at(place[:-1]))
    return did_you_mean(str(place[-1]), known) or (f" Known here: {', '.join(known)}." if known else "")


def _keys_at(place: Place) -> Iterator[str]:
    """Yield the keys that the recipe knows at a place."""
    kinds: list[type[BaseModel]] = [Recipe]
    for part in place:
        if isinstance(part, int):
            continue
        fields = [kind.model_fields[str(part)] for kind in kinds if str(part) in kind.model_fields]
        kinds = [model for field in fields for model in _models_in(field.annotation)]
    for kind in kinds:
        yield from (field.alias or name for name, field in kind.model_fields.items())


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in getattr(annotation, "__args__", ()):
        yield from _models_in(inner)
