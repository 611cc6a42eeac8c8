"""Controls that were trained before, by what decides their result.

A control does not depend on the student's objective, so a run that changes a temperature need not train it again. The
folder is $LIMBECK_CACHE, or `limbeck` in the user's cache folder; `LIMBECK_CACHE=off` switches it off.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

OFF = "off"
LAST = "fit.json"  # written last, so a folder that has it is whole


def cache_folder() -> Path | None:
    """Return the cache folder, None when it is switched off."""
    chosen = os.environ.get("LIMBECK_CACHE", "")
    if chosen == OFF:
        return None
    if chosen:
        return Path(chosen).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "limbeck"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "limbeck"


def fetch(key: str, folder: Path) -> bool:
    """Copy a finished fit from the cache into a folder; False when there is none or it cannot be read."""
    root = cache_folder()
    kept = None if root is None else root / "controls" / key
    if kept is None or not (kept / LAST).is_file():
        return False
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path in sorted(kept.iterdir(), key=lambda path: path.name == LAST):
            partial = folder / f".{path.name}.partial"
            shutil.copyfile(path, partial)
            os.replace(partial, folder / path.name)
    except OSError:
        return False
    return True


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
