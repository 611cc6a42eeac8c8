"""Measurements of `limbeck bench` or a bundle's bench.py, from any device, checked and put into a run's report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from limbeck.errors import DataError, FolderError
from limbeck.export.bench_template import SCHEMA
from limbeck.export.manifest import find_bundle, read_manifest
from limbeck.files import write_text
from limbeck.recipe.mistakes import dotted
from limbeck.recipe.schema import Strict
from limbeck.run.folder import REPORT
from limbeck.run.result import read_report

Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]
Text = Annotated[str, Field(max_length=200)]
WHERE = ("system", "machine", "processor", "cores")  # what makes two measurements those of one device


class Device(Strict):
    """Where a measurement took place."""

    system: Text
    machine: Text
    processor: Text | None
    cores: Count | None
    python: Text
    onnxruntime: Text


class Timing(Strict):
    """Milliseconds for one sample."""

    threads: Count
    p50: Positive
    p95: Positive


class Flow(Strict):
    """Samples a second at a larger batch."""

    threads: Count
    batch: Count
    per_second: Positive


class File(Strict):
    """The figures of one ONNX file."""

    sha256: Text
    bytes: Count
    load_ms: Positive
    latency_ms: Annotated[tuple[Timing, ...], Field(min_length=1)]
    throughput: Annotated[tuple[Flow, ...], Field(min_length=1)]


class Measurement(Strict):
    """What bench.py prints."""

    schema_: Literal["limbeck.bench/1"] = Field(alias="schema")
    date: Text
    device: Device
    seconds: Positive
    files: Annotated[dict[str, File], Field(min_length=1)]


def add_measurements(run: Path, paths: list[Path]) -> dict[str, Any]:
    """Put measurements into report.json of a finished run and return the report; its pages are not rendered here.

    There is one measurement for each device, the last given. Raises DataError for a file that bench.py has not printed
    or that is of other ONNX files than the run's, FolderError where the run is not finished or has no export.
    """
    report = read_report(run)
    if not report["export"]:
        raise FolderError(f"{run} exported nothing (export.onnx: false), so there is nothing that was measured.")
    manifest = read_manifest(find_bundle(run / "export"))
    for path in paths:
        found = read_measurement(path, manifest["files"])
        others = [one for one in report["export"].get("measured") or [] if _place(one) != _place(found)]
        report["export"]["measured"] = [*others, found]
    write_text(run / REPORT, json.dumps(report, indent=1, allow_nan=False))
    return report


def read_measurement(path: Path, files: dict[str, Any]) -> dict[str, Any]:
    """Return a measurement whose files are those of a manifest's section `files`; DataError otherwise."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as JSON: {error}.") from None
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        raise DataError(f"{path} is not what limbeck bench or bench.py prints: expected schema {SCHEMA!r} in it.")
    try:
        found = Measurement.model_validate(content).model_dump(mode="json", by_alias=True)
    except ValidationError as error:
        wrong = [f"{dotted(detail['loc'])}: {detail['msg'][0].lower()}{detail['msg'][1:]}" for detail in error.errors()]
        raise DataError(f"{path} is not what bench.py prints: {'; '.join(wrong)}. Measure again.") from None
    for name, measured in found["files"].items():
        if name not in files or files[name]["sha256"] != measured["sha256"]:
            raise DataError(
                f"{path} measured another {name} than the one that this run exported (SHA-256 "
                f"{measured['sha256'][:12]}...); copy the run's export folder to the device and measure again."
            )
    return found


def _place(measurement: dict[str, Any]) -> list[Any]:
    return [measurement["device"][key] for key in WHERE]
