"""The knowledge stores of this machine: what there is, and what may go."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from limbeck.errors import UserError, did_you_mean
from limbeck.files import cache_folder
from limbeck.knowledge.manifest import MANIFEST, read_manifest
from limbeck.knowledge.store import STORES, Store


def shelf() -> Path:
    """Return the folder of all stores; UserError where the cache is off."""
    root = cache_folder()
    if root is None:
        raise UserError("The cache is off (LIMBECK_CACHE=off), so there are no shared stores; name one by its folder.")
    return root / STORES


def all_stores() -> list[Path]:
    """Return the folders of all stores in the cache, the one used last first."""
    place = shelf()
    found = [path.parent for path in place.glob(f"*/{MANIFEST}")] if place.is_dir() else []
    return sorted(found, key=lambda folder: (folder / MANIFEST).stat().st_mtime, reverse=True)


def find_stores(names: Sequence[str]) -> list[Path]:
    """Return the folders of stores by name (or the first characters of one, if one alone has them) or by folder."""
    return [_find(name) for name in names]


def describe_store(folder: Path) -> dict[str, Any]:
    """Return what a store holds, as JSON values; views: what they are made by."""
    manifest, store = read_manifest(folder), Store(folder)
    used = datetime.fromtimestamp((folder / MANIFEST).stat().st_mtime, UTC)
    return {
        "name": folder.name,
        "folder": str(folder),
        "teacher": manifest.get("title", ""),
        "classes": manifest["classes"],
        "kept": "all" if manifest["top_k"] is None else f"top {manifest['top_k']}",
        "augment": manifest["augment"],
        "device": manifest["device"],
        "rows": len(store),
        "bytes": store.bytes,
        "last_use": used.isoformat(timespec="seconds"),
    }


def remove(folder: Path) -> int:
    """Delete a store and return the bytes that were in it; the manifest goes first, so a kill leaves no half of one."""
    freed = sum(path.stat().st_size for path in folder.iterdir())
    (folder / MANIFEST).unlink(missing_ok=True)
    shutil.rmtree(folder)
    return freed


def _find(name: str) -> Path:
    if (Path(name) / MANIFEST).is_file():
        return Path(name)
    place = shelf()
    stores = {folder.name: folder for folder in all_stores()}
    alike = [folder for known, folder in stores.items() if known.startswith(name)]
    if len(alike) == 1:
        return alike[0]
    if alike:
        raise UserError(f"{name} stands for {len(alike)} stores: {', '.join(one.name for one in alike)}; name one.")
    raise UserError(f"There is no knowledge store {name}, as a folder or in {place}.{did_you_mean(name, stores)}")
