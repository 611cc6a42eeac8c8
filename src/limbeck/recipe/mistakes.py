"""What pydantic finds wrong with a recipe, in sentences: one for each place, with its line."""

from __future__ import annotations

import inspect
import re
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from limbeck.errors import did_you_mean
from limbeck.recipe.choices import TERMS
from limbeck.recipe.model import Recipe
from limbeck.recipe.schema import OWN

Place = tuple[Hashable, ...]

LIMITS = {
    "greater_than_equal": ("ge", "{:g} or more"),
    "greater_than": ("gt", "more than {:g}"),
    "less_than_equal": ("le", "{:g} or less"),
    "less_than": ("lt", "less than {:g}"),
    "too_short": ("min_length", "a list of {:g} or more"),
    "too_long": ("max_length", "a list of {:g} or fewer"),
    "string_too_long": ("max_length", "at most {:g} characters"),
}
KINDS = {
    "int": "a whole number", "float": "a number", "finite": "a finite number", "string": "text",
    "bool": "true or false", "tuple": "a list", "list": "a list", "is": "a list", "sequence": "a list",
    "model": "a section of keys", "dict": "a section of keys", "invalid": "a key that is text",
}  # fmt: skip


def sentences(details: Iterable[ErrorDetails], lines: Mapping[Place, int]) -> list[str]:
    """Return a sentence for each place that is wrong; lines: of the places in the text.

    A union fails in each of its branches, which gives several details for one place and one sentence. A place is
    left out where something inside it is wrong, since that is then the cause.
    """
    found: dict[Place, list[ErrorDetails]] = {}
    for detail in details:
        found.setdefault(_place(detail), []).append(detail)
    causes = [place for place in found if not any(place == other[: len(place)] for other in found if other != place)]
    return [f"{_where(place, lines)}: {_sentence(place, found[place])}" for place in causes]


def dotted(place: Place) -> str:
    """Return a place as the recipe's user writes it, such as student.train.lr."""
    return ".".join(str(part) for part in place)


def _sentence(place: Place, details: Sequence[ErrorDetails]) -> str:
    kinds, given = [detail["type"] for detail in details], details[0]["input"]
    if "extra_forbidden" in kinds:
        return f"unknown key.{_suggestion(place)}"
    if "missing" in kinds:
        return "missing, and it has no default."
    if kinds[0] == "value_error":
        message = details[0]["msg"].removeprefix("Value error, ")
        told = "got" in message or isinstance(given, dict)
        return f"{message}." if told else f"{message}, got {_told(given)}."
    wanted = dict.fromkeys(_wanted(detail) for detail in details)
    return f"expected {', or '.join(wanted)}, got {_told(given)}.{_meant(details, given)}"


def _wanted(detail: ErrorDetails) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    if kind in LIMITS:
        name, text = LIMITS[kind]
        return text.format(context[name])
    if kind == "literal_error":
        return str(context["expected"])
    if kind == "string_too_short":
        return "some text"
    if kind == "string_pattern_mismatch":
        return f"text that matches {context['pattern']}"
    return KINDS.get(kind.partition("_")[0]) or detail["msg"].removeprefix("Input should be ")


def _told(value: Any) -> str:
    if isinstance(value, (dict, list)):
        return "a list" if isinstance(value, list) else "a section of keys"
    if value is None:
        return "nothing"
    return repr(value) if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)


def _meant(details: Sequence[ErrorDetails], given: Any) -> str:
    """Return ' Did you mean ...?' where the value is close to one of the words that are expected."""
    expected = " ".join(detail["ctx"]["expected"] for detail in details if detail["type"] == "literal_error")
    return did_you_mean(given, re.findall(r"'([^']*)'", expected)) if isinstance(given, str) else ""


def _place(detail: ErrorDetails) -> Place:
    return tuple(part for part in detail["loc"] if not _is_branch(part))


def _is_branch(part: Hashable) -> bool:
    """Whether a part of pydantic's location names a branch of a union, not a key of the recipe."""
    return isinstance(part, str) and bool(re.search(r"[\[\]()]|^(int|str|float|constrained-\w+|\w+Section)$", part))


def _where(place: Place, lines: Mapping[Place, int]) -> str:
    line = next((lines[place[:n]] for n in range(len(place), 0, -1) if place[:n] in lines), None)
    return (dotted(place) or "recipe") + (f" (line {line})" if line is not None else "")


def _suggestion(place: Place) -> str:
    if place[-1] == "per_sample":
        fitting = [name for name, term in TERMS.items() if "per_sample" in inspect.signature(term).parameters]
        return f" It goes with terms that teach each sample by itself: {', '.join(sorted(fitting))}."
    known = list(_keys_at(place[:-1]))
    return did_you_mean(str(place[-1]), known) or (f" Known here: {', '.join(known)}." if known else "")


def _keys_at(place: Place) -> Iterator[str]:
    """Yield the keys that the recipe knows at a place."""
    kinds: list[type[BaseModel]] = [Recipe]
    for part in place:
        if isinstance(part, int):
            continue
        known = [pair for kind in kinds for pair in kind.model_fields.items()]
        fields = [field for name, field in known if str(part) in (name, field.alias)]
        kinds = [model for field in fields for model in _models_in(field.annotation)]
    for kind in kinds:
        yield from (field.alias or name for name, field in kind.model_fields.items() if name != OWN)


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in getattr(annotation, "__args__", ()):
        yield from _models_in(inner)
