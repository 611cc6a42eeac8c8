"""The manifest of an export folder: where it is, what it must hold, whether its files are whole."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from limbeck.errors import FolderError

MANIFEST = "manifest.json"
GRAPH = "student.onnx"
INT8 = "student.int8.onnx"
SCRIPT = "predict.py"
BENCH = "bench.py"
SCHEMA = "limbeck.export/1"


def find_bundle(path: Path) -> Path:
    """Return the export folder meant by a path: itself, or `export/` of a run folder.

    Raises FolderError if neither holds a manifest.
    """
    for folder in (path, path / "export"):
        if (folder / MANIFEST).is_file():
            return folder
    if not path.exists():
        raise FolderError(f"There is no folder {path}; expected an export folder or a run folder.")
    raise FolderError(
        f"{path} is not an export folder: expected {MANIFEST} in it, or in {path / 'export'}; "
        f"limbeck export RUN makes one."
    )


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read and check the manifest of an export folder. Raises FolderError if it is foreign or damaged."""
    path = folder / MANIFEST
    try:
        manifest: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FolderError(f"{path} cannot be read: {error}.") from None
    schema = manifest.get("schema") if isinstance(manifest, dict) else None
    if schema != SCHEMA:
        raise FolderError(
            f"{path} is not a manifest that this version reads: expected schema {SCHEMA!r}, found "
            f"{schema!r}; export the model again."
        )
    checked: dict[str, Any] = manifest
    return checked


def graph_name(folder: Path, manifest: dict[str, Any], *, int8: bool) -> str:
    """Return the name of a bundle's float file, or of its int8 file; FolderError where there is none."""
    if not int8:
        return GRAPH
    if INT8 in manifest["files"]:
        return INT8
    refused = manifest.get("int8")
    why = refused["sentence"] if refused else "export.int8: true in the recipe asks for one."
    raise FolderError(f"{folder} has no int8 file. {why}")


def check_file(folder: Path, name: str, manifest: dict[str, Any]) -> Path:
    """Return the path of a listed file whose SHA-256 is the manifest's; FolderError otherwise."""
    path = folder / name
    if not path.is_file():
        raise FolderError(f"{path} is missing although {MANIFEST} lists it; export the model again.")
    expected, found = manifest["files"][name]["sha256"], sha256(path)
    if found != expected:
        raise FolderError(
            f"{path} is not the file that {MANIFEST} describes: expected SHA-256 {expected[:12]}..., found "
            f"{found[:12]}...; export the model again."
        )
    return path


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file (hex)."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
