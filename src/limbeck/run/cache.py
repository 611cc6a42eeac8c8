"""Controls that were trained before, by what decides their result.

A control does not depend on the student's objective, so a run that changes a temperature need not train it again.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from limbeck.files import cache_folder, write_bytes

RECORD = "fit.json"  # how a fit went; written last, so a folder that has it is whole


def fetch(key: str, folder: Path) -> str | None:
    """Copy a finished fit from the cache into a folder, all but its record, whose text is returned.

    None when there is no such fit or it cannot be read; then it is trained.
    """
    root = cache_folder()
    kept = None if root is None else root / "controls" / key
    if kept is None or not (kept / RECORD).is_file():
        return None
    try:
        for path in kept.iterdir():
            if path.name != RECORD:
                write_bytes(folder / path.name, path.read_bytes())
        return (kept / RECORD).read_text(encoding="utf-8")
    except OSError:
        return None


def keep(key: str, folder: Path, names: tuple[str, ...]) -> bool:
    """Copy files of a finished fit into the cache; False when that is not possible, which harms nothing."""
    root = cache_folder()
    if root is None or (root / "controls" / key).exists():
        return False
    building = root / "controls" / f".{key}.{os.getpid()}"
    try:
        building.mkdir(parents=True, exist_ok=True)
        for name in names:
            shutil.copyfile(folder / name, building / name)
        os.rename(building, root / "controls" / key)
    except OSError:
        shutil.rmtree(building, ignore_errors=True)
        return False
    return True
