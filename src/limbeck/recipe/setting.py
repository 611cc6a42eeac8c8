"""A value of a recipe by its dotted name, such as objective.soft_labels.temperature; list items go by their names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

SWEEP = "sweep"  # its keys are dotted names themselves


def set_value(content: dict[str, Any], path: str, value: Any) -> str | None:
    """Set a value in a recipe's content in place; return a sentence when there is no such place."""
    keys = path.split(".")
    if keys[0] == SWEEP and len(keys) > 1:
        keys = [SWEEP, path.removeprefix(f"{SWEEP}.")]
    target: Any = content
    for number, key in enumerate(keys):
        last = number == len(keys) - 1
        if isinstance(target, list):
            found = _named(target, key)
            if found is None:
                return f"{'.'.join(keys[:number])} has no {key!r}; there is {', '.join(_names(target))}."
            target, place = found
            if last and place is None:
                return f"expected a key of {path} too, such as {path}.train."
            if last:
                target[place] = value
            elif place is not None:
                target = _open(target, place)
        elif last:
            target[key] = value
        else:
            target = _open(target, key)
        if not isinstance(target, (dict, list)):
            return f"{'.'.join(keys[: number + 1])} is a value, not a section."
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
