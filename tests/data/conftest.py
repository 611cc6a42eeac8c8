from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

MakeFolder = Callable[..., Path]


@pytest.fixture
def real_data() -> Path:
    """The folder of real data sets, where there is one."""
    place = os.environ.get("LIMBECK_DATA")
    if not place or not Path(place).is_dir():
        pytest.skip("LIMBECK_DATA does not name a folder with the real data sets")
    return Path(place)


@pytest.fixture
def make_folder(tmp_path: Path) -> MakeFolder:
    """Write grey pictures at paths below a new folder, a different one at each path."""

    def make(*names: str, size: tuple[int, int] = (6, 4), mode: str = "L") -> Path:
        random = np.random.default_rng(len(names))
        for name in names:
            path = tmp_path / "photos" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            shape = size if mode == "L" else (*size, 3)
            Image.fromarray(random.integers(0, 256, shape, dtype=np.uint8)).save(path)
        return tmp_path / "photos"

    return make
