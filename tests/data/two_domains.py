"""Pictures of two domains, shared by the tests of data and of runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def domain(path: Path, shift: int, classes: int = 3, test: bool = True, seed: int = 0) -> Path:
    """Write pictures whose class is a bright row, brighter in another domain."""
    random = np.random.default_rng(seed)
    arrays = {}
    for split, count in (("train", 90), ("test", 45))[: 1 + test]:
        labels = np.arange(count) % classes
        pictures = random.integers(0, 60, (count, 8, 8), dtype=np.uint8)
        pictures[np.arange(count), 2 * labels] += np.uint8(120 + shift)
        arrays |= {f"x_{split}": pictures, f"y_{split}": labels}
    np.savez(path, **arrays)
    return path
