"""What a recipe may name, read from the constructors themselves."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from limbeck.recipe.choices import MODELS, TERMS
from limbeck.recipe.schema import SHAPE_ARGUMENTS


def terms() -> list[dict[str, str]]:
    """Return name, options and summary of every term."""
    return _listed(TERMS)


def architectures() -> list[dict[str, str]]:
    """Return name, options and summary of every architecture."""
    return _listed(MODELS)


def _listed(constructors: Mapping[str, Any]) -> list[dict[str, str]]:
    return [
        {"name": name, "options": _options(constructor), "summary": _summary(constructor)}
        for name, constructor in sorted(constructors.items())
    ]


def _options(constructor: Any) -> str:
    if constructor.__init__ is object.__init__:
        return ""
    parameters = inspect.signature(constructor.__init__).parameters.values()
    return ", ".join(
        parameter.name if parameter.default is inspect.Parameter.empty else f"{parameter.name} ({parameter.default})"
        for parameter in parameters
        if parameter.name not in SHAPE_ARGUMENTS
        and parameter.kind is not inspect.Parameter.VAR_POSITIONAL
        and parameter.kind is not inspect.Parameter.VAR_KEYWORD
    )


def _summary(constructor: Any) -> str:
    return (inspect.getdoc(constructor) or "").split("\n")[0]
