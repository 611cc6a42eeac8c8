"""Classes of the user's own, named package.module:Class in a recipe; importing one runs its code and needs --trust."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from limbeck.errors import ModelError, UserError, did_you_mean
from limbeck.recipe.schema import SHAPE_ARGUMENTS

Kind = TypeVar("Kind")


def ask_for_trust(names: Sequence[str], trust: bool) -> None:
    """Raise UserError where classes of the user's own are named without being trusted."""
    named = ", ".join(dict.fromkeys(names))
    if named and not trust:
        raise UserError(
            f"The recipe names code of its own ({named}), which would be run. Read it first; then say "
            f"--trust (in Python: trust=True)."
        )


def build_own(path: str, kind: type[Kind], given: Mapping[str, Any], options: Mapping[str, Any]) -> Kind:
    """Import package.module:Class, from the current folder too, and call it.

    kind: what it must make; given: arguments that it gets where its constructor has them (shape, classes); options:
    those of the recipe. Raises ModelError naming what is missing or does not fit.
    """
    constructor = import_own(path)
    known = inspect.signature(constructor).parameters
    arguments = {**{name: value for name, value in given.items() if name in known}, **options}
    try:
        inspect.signature(constructor).bind(**arguments)
    except TypeError as error:
        named = ", ".join(name for name in known if name not in SHAPE_ARGUMENTS) or "none"
        raise ModelError(f"{path} cannot be made with these options: {error}; its own ones are {named}.") from None
    try:
        made = constructor(**arguments)
    except Exception as error:  # the user's own code may raise anything
        raise ModelError(f"{path} cannot be made: {type(error).__name__}: {error}.") from error
    if not isinstance(made, kind):
        raise ModelError(f"{path} made {type(made).__name__}; expected {kind.__module__}.{kind.__name__}.")
    return made


def import_own(path: str) -> Any:
    """Return the class or function package.module:Name; ModelError where there is none."""
    module_name, _, name = path.partition(":")
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        said = f"there is no module {error.name!r} here or among the installed ones"
        raise ModelError(f"{path} cannot be imported: {said}.") from error
    except Exception as error:  # the user's own code may raise anything
        raise ModelError(f"{path} cannot be imported: {error!r}.") from error
    finally:
        sys.path.remove(here)
    found = vars(module).get(name)
    if not inspect.isclass(found) and not inspect.isfunction(found):
        near = did_you_mean(name, [key for key, value in vars(module).items() if inspect.isclass(value)])
        raise ModelError(f"{path} is no class: the module {module_name} has no {name}.{near}")
    return found
