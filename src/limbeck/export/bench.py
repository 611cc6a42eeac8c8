"""Measure a bundle's files on the device at hand, by the code of its own bench.py; torch is not needed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from limbeck.errors import UserError
from limbeck.export.bench_template import measure
from limbeck.export.manifest import check_file, find_bundle, read_manifest


def bench(bundle: Path, *, threads: Sequence[int] = (1,), seconds: float = 1.0) -> dict[str, Any]:
    """Return size, load time, latency and throughput of each ONNX file, with the device, as bench.py prints them.

    bundle: an export folder, or the run folder around one. threads: numbers of threads to measure with, each 1 or more;
    seconds: for how long each figure is measured, above 0. Raises FolderError if the folder is missing, foreign or
    changed, UserError for other numbers.
    """
    if not threads or min(threads) < 1:
        raise UserError(f"--threads expects 1 or more, got {', '.join(map(str, threads)) or 'none'}.")
    if not 0 < seconds < 3600:
        raise UserError(f"--seconds expects more than 0 and less than an hour, got {seconds:g}.")
    folder = find_bundle(bundle)
    manifest = read_manifest(folder)
    names = [name for name in manifest["files"] if name.endswith(".onnx")]
    for name in names:
        check_file(folder, name, manifest)
    return measure(folder, names, list(dict.fromkeys(threads)), seconds)
