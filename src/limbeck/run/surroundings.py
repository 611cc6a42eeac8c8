"""Where a run took place: versions, processor, memory."""

from __future__ import annotations

import importlib.metadata
import platform
import resource
import sys
from pathlib import Path
from typing import Any

import torch

PACKAGES = ("torch", "accelerate", "numpy", "scikit-learn", "onnx", "onnxruntime")


def environment(device: torch.device) -> dict[str, Any]:
    """Return versions, platform, processor, threads and device; no host name, no user, no path."""
    found = importlib.metadata
    versions = {package: _version(found, package) for package in PACKAGES}
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return {
        "python": platform.python_version(),
        **versions,
        "platform": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "threads": torch.get_num_threads(),
        "device": name,
    }


def peak_memory_mib() -> int:
    """Return the largest resident size of this process so far, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // (1024 * 1024 if sys.platform == "darwin" else 1024)


def _version(metadata: Any, package: str) -> str | None:
    try:
        return str(metadata.version(package))
    except importlib.metadata.PackageNotFoundError:
        return None


def _processor() -> str | None:
    listing = Path("/proc/cpuinfo")
    if listing.is_file():
        for line in listing.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or None
