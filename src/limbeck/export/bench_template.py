"""Measure the ONNX files beside this script on this device: python bench.py > device.json

Needs onnxruntime and numpy only. A table goes to stderr, JSON to stdout, which `limbeck report RUN --bench device.json`
puts into the run's report.
"""

import argparse
import hashlib
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

SCHEMA = "limbeck.bench/1"
BATCH = 64
WARM_UPS, LOADS = 5, 5
TYPES = {"uint8": np.uint8, "float": np.float32, "double": np.float64, "int64": np.int64, "int32": np.int32}


def measure(folder: Path, names: Sequence[str], threads: Sequence[int] = (1,), seconds: float = 1.0) -> dict[str, Any]:
    """Return load time, size, latency of one sample and throughput of 64 for each ONNX file, and what measured them.

    threads: numbers of threads to measure with; seconds: for how long each figure is measured.
    """
    return {
        "schema": SCHEMA,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "device": device(),
        "seconds": seconds,
        "files": {name: _measure_file(folder / name, threads, seconds) for name in names},
    }


def device() -> dict[str, Any]:
    """Return what this device is; no host name, no user, no path."""
    return {
        "system": platform.system(),
        "machine": platform.machine(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "onnxruntime": onnxruntime.__version__,
    }


def _processor() -> str | None:
    """Return the name that Linux gives the processor, or the board where it names none, else what Python knows."""
    for path, key in (("/proc/cpuinfo", "model name"), ("/proc/device-tree/model", "")):
        if os.path.isfile(path):
            for line in Path(path).read_text(encoding="utf-8", errors="replace").splitlines():
                if line.startswith(key):
                    return line.rpartition(":")[2].strip(" \t\0")
    return platform.processor() or None


def _measure_file(path: Path, threads: Sequence[int], seconds: float) -> dict[str, Any]:
    content = path.read_bytes()
    found: dict[str, Any] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    loads = _milliseconds(partial(_session, path, threads[0]), seconds, most=LOADS)
    found |= {"load_ms": _median(loads), "latency_ms": [], "throughput": []}
    for count in threads:
        session = _session(path, count)
        times = _milliseconds(partial(session.run, None, _random(session, 1)), seconds, warm_ups=WARM_UPS)
        p50, p95 = (float(value) for value in np.percentile(times, [50, 95]))
        found["latency_ms"].append({"threads": count, "p50": p50, "p95": p95})
        times = _milliseconds(partial(session.run, None, _random(session, BATCH)), seconds, warm_ups=1)
        found["throughput"].append({"threads": count, "batch": BATCH, "per_second": 1000 * BATCH / _median(times)})
    return found


def _session(path: Path, threads: int) -> Any:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _random(session: Any, batch: int) -> dict[str, Any]:
    """Return random values for each input of a graph; its first dimension is the batch."""
    draw = np.random.default_rng(0)
    made: dict[str, Any] = {}
    for entry in session.get_inputs():
        shape = [batch, *(size if isinstance(size, int) else 1 for size in entry.shape[1:])]
        kind = entry.type.removeprefix("tensor(").removesuffix(")")
        if kind == "string":
            made[entry.name] = np.full(shape, "", dtype=object)
        else:
            values = draw.integers(0, 256, shape) if "int" in kind else draw.normal(size=shape)
            made[entry.name] = values.astype(TYPES[kind])
    return made


def _milliseconds(run: Callable[[], Any], seconds: float, warm_ups: int = 0, most: int = 100_000) -> list[float]:
    """Return how long each call takes, for so many seconds or calls, once at least."""
    for _ in range(warm_ups):
        run()
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < most and (not times or time.perf_counter() < end):
        start = time.perf_counter()
        run()
        times.append((time.perf_counter() - start) * 1000)
    return times


def _median(times: Sequence[float]) -> float:
    return float(np.median(times))


def table(found: dict[str, Any]) -> str:
    """Return the figures as lines of text."""
    lines = [f"{'file':20} {'bytes':>12} {'load ms':>9} {'threads':>7} {'ms, p50':>9} {'ms, p95':>9} {'a second':>10}"]
    for name, file in found["files"].items():
        for timing, flow in zip(file["latency_ms"], file["throughput"], strict=True):
            lines.append(
                f"{name:20} {file['bytes']:12,} {file['load_ms']:9.2f} {timing['threads']:7} {timing['p50']:9.3f} "
                f"{timing['p95']:9.3f} {flow['per_second']:10,.0f}"
            )
    return "\n".join(lines)


def main(folder: Path, arguments: Sequence[str]) -> None:
    """Measure the files that the manifest lists; table to stderr, JSON to stdout."""
    parser = argparse.ArgumentParser(description="Measure the ONNX files beside this script on this device.")
    parser.add_argument("--threads", type=int, action="append", help="may be repeated; default 1")
    parser.add_argument("--seconds", type=float, default=1.0, help="for each figure; default 1")
    options = parser.parse_args(arguments)
    threads = options.threads or [1]
    if min(threads) < 1 or not 0 < options.seconds < 3600:
        parser.error("--threads expects 1 or more, --seconds more than 0")
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    names = [name for name in manifest["files"] if name.endswith(".onnx")]
    found = measure(folder, names, list(dict.fromkeys(threads)), options.seconds)
    print(table(found), file=sys.stderr)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main(Path(__file__).parent, sys.argv[1:])
