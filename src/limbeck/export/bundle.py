"""The export folder: graph, manifest and a script that runs them without Limbeck.

The folder is built beside its place and renamed into it when it is complete.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import onnx
from torch import Tensor

from limbeck.errors import ExportError, FolderError, ModelError
from limbeck.export.ending import SOFTMAX, Ending
from limbeck.export.front import Front, attach_front
from limbeck.export.graph import export_graph
from limbeck.export.manifest import BENCH, GRAPH, INT8, MANIFEST, SCHEMA, SCRIPT, read_manifest, sha256
from limbeck.export.parity import Parity, check_parity, file_parity
from limbeck.export.remedies import Int8Request, quantise_within
from limbeck.export.trace import INPUT, Kind, Trace
from limbeck.files import reporting_disk_errors
from limbeck.models.adapt import Adapted

TABLE_INPUT = {"name": None, "type": "table", "layout": None}  # its inputs are in the manifest's `table`
TEMPLATES = {name: Path(__file__).with_name(f"{Path(name).stem}_template.py") for name in (SCRIPT, BENCH)}


def write_bundle(
    folder: Path,
    *,
    model: Adapted,
    name: str,
    shape: tuple[int, ...],
    kind: Kind,
    classes: Sequence[str],
    temperature: float,
    reading: Mapping[str, Any] | None,
    source_hash: str,
    samples: Tensor,
    extra: Mapping[str, Any],
    trace: Trace | None = None,
    front: Front | None = None,
    int8: Int8Request | None = None,
    ending: Ending = SOFTMAX,
) -> dict[str, Any]:
    """Export a model into a folder and return its manifest.

    shape: of one sample. classes: the name of each column of the logits. reading: how a picture file
    becomes an input, {"size": [height, width], "channels", "resize", "background"}; None for inputs that
    are no picture files. source_hash: of the weights that are exported. samples: raw inputs [N, ...] for
    the parity check, uint8 pixels or float32 features. extra: more entries of the manifest, such as the
    seed. trace: of an equal architecture, see `export_graph`. front: the preprocessing of a table, with the raw rows
    of the samples; every file then takes such rows. int8: what an int8 file beside the float file is made and judged
    by; one that loses too much is left out, and the manifest says why. ending: what comes after the logits.
    An earlier export folder stays until the new one is complete. Raises ExportError if the file does not
    equal the model, FolderError if the folder holds something else, DiskError if it cannot be written.
    """
    if len(classes) != model.classes:
        raise ModelError(f"The model tells {model.classes} classes apart, but {len(classes)} names were given.")
    _recover(folder)
    _refuse_foreign(folder)
    building = _sibling(folder, "new")
    with reporting_disk_errors(folder):
        try:
            building.mkdir(parents=True)
            parity = _write_graph(building / GRAPH, model, samples, shape, kind, temperature, trace, ending)
            quantised = _write_int8(building, int8, samples) if int8 is not None else None
            if front is not None:  # last, when nothing more is done to the graphs themselves
                parity = _attach(building, front, model, samples, ending)
            for script, template in TEMPLATES.items():
                shutil.copyfile(template, building / script)
            manifest = {
                "schema": SCHEMA,
                "name": name,
                "input": _input(shape, kind, reading) | (TABLE_INPUT if front else {}),
                "table": front.describe() if front else None,
                "outputs": ending.outputs,
                "classes": list(classes),
                "seed": None,
                "temperature": temperature,
                "source_hash": source_hash,
                "parity": parity,
                "int8": quantised,
                **extra,
                **_measured(building),
            }
            (building / MANIFEST).write_text(_to_json(manifest), encoding="utf-8")
            _put_in_place(building, folder)
        except BaseException:
            shutil.rmtree(building, ignore_errors=True)
            raise
    return manifest


def _write_graph(
    path: Path,
    model: Adapted,
    samples: Tensor,
    shape: tuple[int, ...],
    kind: Kind,
    temperature: float,
    trace: Trace | None,
    ending: Ending,
) -> Parity:
    """Write the graph and compare it with the model; a trace that proves to be another's is dropped."""
    export_graph(model, path, shape=shape, kind=kind, temperature=temperature, trace=trace, ending=ending)
    try:
        return check_parity(model, path, samples, ending=ending)
    except ExportError:
        if trace is None:
            raise
    export_graph(model, path, shape=shape, kind=kind, temperature=temperature, ending=ending)
    return check_parity(model, path, samples, ending=ending)


def _attach(building: Path, front: Front, model: Adapted, samples: Tensor, ending: Ending) -> Parity:
    """Put a table's preprocessing in front of the files, and compare the float file with the model once more."""
    for name in (GRAPH, INT8):
        if (building / name).is_file():
            attach_front(building / name, front.preprocessing)
    return check_parity(model, building / GRAPH, samples, raw=front.rows, ending=ending)


def _write_int8(building: Path, request: Int8Request, samples: Tensor) -> dict[str, Any]:
    """Write the int8 file if one passes, and return the search for it with its parity to the float file."""
    source, target = building / GRAPH, building / INT8
    search = quantise_within(source, target, request)
    if not search.passed:
        target.unlink(missing_ok=True)
    parity = file_parity(source, target, samples.detach().cpu()) if search.passed else None
    return {**search.to_json(), "parity": parity}


def _input(shape: tuple[int, ...], kind: Kind, reading: Mapping[str, Any] | None) -> dict[str, Any]:
    image = kind == "image"
    reading = reading or {}
    return {
        "name": INPUT[kind],
        "type": "uint8" if image else "float32",
        "layout": "NCHW" if image else "ND",
        "shape": list(shape),
        "size": list(reading["size"]) if reading else None,
        "channels": reading.get("channels"),
        "resize": reading.get("resize"),
        "background": reading.get("background"),
        "range": [0, 255] if image else None,
    }


def _measured(building: Path) -> dict[str, Any]:
    """Return what is known once the files are there: opset, version, which graph is which, size and hash of each."""
    imports = onnx.load(building / GRAPH).opset_import
    paths = [path for name in (GRAPH, INT8, SCRIPT, BENCH) if (path := building / name).is_file()]
    return {
        "graphs": {"fp32": GRAPH, "int8": INT8 if (building / INT8).is_file() else None},
        "opset": int(next(entry.version for entry in imports if entry.domain == "")),
        "limbeck": _version(),
        "files": {path.name: {"bytes": path.stat().st_size, "sha256": sha256(path)} for path in paths},
    }


def _to_json(manifest: Mapping[str, Any]) -> str:
    return json.dumps(manifest, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _version() -> str | None:
    try:
        return version("limbeck")
    except PackageNotFoundError:
        return None


def _sibling(folder: Path, what: str) -> Path:
    return folder.with_name(f".{folder.name}.{what}")


def _recover(folder: Path) -> None:
    """Clean up after a kill: a half-built folder goes, an old one already moved aside comes back."""
    new, old = _sibling(folder, "new"), _sibling(folder, "old")
    with reporting_disk_errors(folder):
        if old.is_dir() and not folder.exists():
            os.replace(old, folder)
        for leftover in (new, old):
            if leftover.is_dir():
                shutil.rmtree(leftover)


def _put_in_place(building: Path, folder: Path) -> None:
    old = _sibling(folder, "old")
    if folder.is_dir():
        os.replace(folder, old)
    os.replace(building, folder)
    shutil.rmtree(old, ignore_errors=True)


def _refuse_foreign(folder: Path) -> None:
    """Never replace a folder that is not an earlier export."""
    if folder.is_dir() and not any(folder.iterdir()):
        return
    if folder.is_dir() and (folder / MANIFEST).is_file():
        read_manifest(folder)
    elif folder.exists():
        raise FolderError(f"{folder} exists and is not an export folder; choose another one, or move it away.")
