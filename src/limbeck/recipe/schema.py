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

OWN_CLASS = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")  # package.module:Class
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


OWN = "own"  # the field of a choice that holds a class of the user's own


class Choice(Strict):
    """Exactly one of several constructors, with its options."""

    @classmethod
    def known(cls) -> list[str]:
        """The names that may be chosen."""
        return [name for name in cls.model_fields if name != OWN]

    @model_validator(mode="before")
    @classmethod
    def _accept_bare_name(cls, given: Any) -> Any:
        if isinstance(given, str):
            given = {given: {}}
        if not isinstance(given, dict):
            raise ValueError(f"expected one of {', '.join(cls.known())}")
        if len(given) != 1 or OWN in given:
            raise ValueError(f"expected exactly one of {', '.join(cls.known())}")
        (name, options), *_ = given.items()
        options = {} if options is None else options
        if OWN in cls.model_fields and isinstance(name, str) and OWN_CLASS.fullmatch(name):
            return {OWN: cls._of_own(name, options)}
        return {name: options}

    @classmethod
    def _of_own(cls, path: str, options: Any) -> dict[str, Any]:
        """Take apart what is Limbeck's (such as a term's weight) and what the user's own constructor gets."""
        if not isinstance(options, dict):
            raise ValueError(f"{path} expects its options as a section of keys")
        section: Any = cls.model_fields[OWN].annotation
        known = set(typing.get_args(section)[0].model_fields) - {"path", "options"}
        mine = {key: value for key, value in options.items() if key in known}
        return {"path": path, "options": {str(k): v for k, v in options.items() if k not in known}, **mine}

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Return a JSON Schema that takes a bare name, or an object with exactly one."""
        reference = handler(core)
        found = handler.resolve_ref_schema(reference)
        chosen = {**found, "minProperties": 1, "maxProperties": 1}
        described: dict[str, Any] = {key: chosen.pop(key) for key in ("title", "description") if key in chosen}
        names: list[dict[str, Any]] = [{"type": "string", "enum": cls.known()}]
        if OWN in cls.model_fields:
            chosen["properties"] = {name: one for name, one in chosen["properties"].items() if name != OWN}
            chosen["patternProperties"] = {f"^{OWN_CLASS.pattern}$": {"type": ["object", "null"]}}
            names.append({"type": "string", "pattern": f"^{OWN_CLASS.pattern}$"})
        found.clear()
        found.update({**described, "anyOf": [*names, chosen]})
        return reference

    @property
    def is_own(self) -> bool:
        """Whether it is a class of the user's own, package.module:Class."""
        return OWN in self.model_fields_set

    @property
    def name(self) -> str:
        """The constructor's name in the recipe."""
        place = next(iter(self.model_fields_set))
        return self.__dict__[OWN].path if place == OWN else place

    @property
    def options(self) -> dict[str, Any]:
        """The constructor's options, defaults filled in where they are known."""
        section = self.__dict__[OWN if self.is_own else self.name]
        found = {name: section.__dict__[name] for name in type(section).model_fields}
        return {**found.pop("options"), **{k: v for k, v in found.items() if k != "path"}} if self.is_own else found

    @model_serializer
    def _only_the_chosen(self) -> dict[str, Any]:
        return {self.name: self.options if self.is_own else self.__dict__[self.name].model_dump(by_alias=True)}


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
    title: str, constructors: Sequence[tuple[str, Any]], *, extra: dict[str, Any] | None = None, own: bool = False
) -> type[Choice]:
    """Return the pydantic model of a choice among named constructors; own: or a class package.module:Class."""
    fields: dict[str, Any] = {
        name: (section_of(constructor, extra=extra) | None, None) for name, constructor in constructors
    }
    if own:
        given: dict[str, Any] = {"path": (str, ...), "options": (dict[str, Any], {}), **(extra or {})}
        fields[OWN] = (create_model(f"Own{title}", __base__=Strict, **given) | None, None)
    return create_model(title, __base__=Choice, **fields)
