"""Constructors are the schema: pydantic models made from signatures.

A choice such as `model: {mlp: {hidden: [32]}}` is a pydantic model with one optional field for each class
that may be named; exactly one is given. A bare name (`model: mlp`) stands for the defaults.
"""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Sequence
from typing import Any

from pydantic import (
    BaseModel,
    ConfigDict,
    GetJsonSchemaHandler,
    create_model,
    model_serializer,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

SHAPE_ARGUMENTS = frozenset({"self", "shape", "classes", "return"})
VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)  # of a constructor that is inherited
MEANING = re.compile(r"(?:^\s*|(?<=[.;])\s+)([a-z]\w*):\s", re.MULTILINE)


class Strict(BaseModel):
    """A section of the recipe: an unknown key is a mistake."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, populate_by_name=True)

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Return the JSON Schema with what the docstring says about each key."""
        reference = handler(core)
        properties = handler.resolve_ref_schema(reference).get("properties", {})
        for kind in reversed(cls.__mro__):
            for key, meaning in meanings(kind.__doc__ or "").items():
                if key in properties:
                    properties[key]["description"] = meaning
        return reference


class Choice(Strict):
    """Exactly one of several constructors, with its options."""

    @model_validator(mode="before")
    @classmethod
    def _accept_bare_name(cls, given: Any) -> Any:
        if isinstance(given, str):
            given = {given: {}}
        if not isinstance(given, dict):
            raise ValueError(f"expected one of {', '.join(cls.model_fields)}")
        if len(given) != 1:
            raise ValueError(f"expected exactly one of {', '.join(cls.model_fields)}")
        return {name: {} if options is None else options for name, options in given.items()}

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Return a JSON Schema that takes a bare name, or an object with exactly one."""
        reference = handler(core)
        found = handler.resolve_ref_schema(reference)
        chosen = {**found, "minProperties": 1, "maxProperties": 1}
        described: dict[str, Any] = {key: chosen.pop(key) for key in ("title", "description") if key in chosen}
        found.clear()
        found.update({**described, "anyOf": [{"type": "string", "enum": list(cls.model_fields)}, chosen]})
        return reference

    @property
    def name(self) -> str:
        """The constructor's name in the recipe."""
        return next(iter(self.model_fields_set))

    @property
    def options(self) -> dict[str, Any]:
        """The constructor's options, defaults filled in."""
        section = self.__dict__[self.name]
        return {name: section.__dict__[name] for name in type(section).model_fields}

    @model_serializer
    def _only_the_chosen(self) -> dict[str, Any]:
        return {self.name: self.__dict__[self.name].model_dump()}


def meanings(docstring: str) -> dict[str, str]:
    """Return what a docstring says about each key: 'width: of a stage; depth: number of stages. Returns ...'.

    A key starts a line, or follows a semicolon or a full stop. What is said about it ends with the sentence.
    """
    found: dict[str, str] = {}
    for paragraph in re.split(r"\n\s*\n", docstring):
        _, *pairs = MEANING.split(paragraph)
        for key, text in zip(pairs[::2], pairs[1::2], strict=True):
            found[key] = re.split(r"\. (?=[A-Z])", " ".join(text.split()))[0].rstrip(".;")
    return found


def section_of(constructor: Any, *, extra: dict[str, Any] | None = None, name: str = "") -> type[Strict]:
    """Return the pydantic model of a constructor's options; extra: further fields as (type, default)."""
    target = constructor.__init__ if inspect.isclass(constructor) else constructor
    hints = typing.get_type_hints(target, include_extras=True)
    fields: dict[str, Any] = {}
    for parameter in inspect.signature(target).parameters.values():
        if parameter.name in SHAPE_ARGUMENTS or parameter.kind in VARIADIC:
            continue
        default = ... if parameter.default is inspect.Parameter.empty else parameter.default
        fields[parameter.name] = (hints[parameter.name], default)
    fields |= extra or {}
    return create_model(
        name or f"{constructor.__name__}Options", __base__=Strict, __doc__=constructor.__doc__, **fields
    )


def choice_of(
    title: str, constructors: Sequence[tuple[str, Any]], *, extra: dict[str, Any] | None = None
) -> type[Choice]:
    """Return the pydantic model of a choice among named constructors."""
    fields: dict[str, Any] = {
        name: (section_of(constructor, extra=extra) | None, None) for name, constructor in constructors
    }
    return create_model(title, __base__=Choice, **fields)
