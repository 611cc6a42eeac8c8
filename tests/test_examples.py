"""Every example runs as it stands, in an empty folder, and is short."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parent.parent / "examples").glob("*.py"))
NEEDS = {"lightning_loop": "lightning", "transformers_trainer": "transformers"}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs(example: Path, tmp_path: Path) -> None:
    assert len(example.read_text().splitlines()) < 60
    library = NEEDS.get(example.stem)
    if library and importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed: pip install '.[loops]'")
    done = subprocess.run([sys.executable, example], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "istillation" in done.stdout
    assert list(tmp_path.glob("runs/*/report.html")) or "limbeck.distill(" not in example.read_text()
