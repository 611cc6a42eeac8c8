"""The recipes that ship with Limbeck: in the package when it is installed, in the clone beside it otherwise."""

from __future__ import annotations

from pathlib import Path

import limbeck
from limbeck.errors import UserError, did_you_mean

PACKAGE = Path(limbeck.__file__).parent


def shipped(name: str) -> Path:
    """Return the path of a shipped recipe; UserError when there is none of that name."""
    folders = (PACKAGE / "recipes", PACKAGE.parent.parent / "recipes")
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    known = sorted(path.name for folder in folders for path in folder.glob("*.yaml"))
    raise UserError(f"There is no shipped recipe {name!r}.{did_you_mean(name, known)}")
