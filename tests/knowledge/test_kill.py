"""Kill -9 at random moments of a labelling."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path


def test_after_kills_no_row_is_missing_doubled_or_wrong(tmp_path: Path) -> None:
    script = Path(__file__).with_name("killing.py")
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path)],
        stdout=subprocess.PIPE,
        check=True,
        timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    found = json.loads(done.stdout)
    assert found["ended"].count(-9) >= 4, "most kills came before the end"
    assert found["ended"][-1] == 0
    assert (found["rows"], found["repeated"], found["broken"]) == (6000, 0, [])
    assert (found["missing"], found["wrong"]) == (0, 0)
    assert found["same"], "the numbers are those of an unbroken labelling"
    assert found["counted"] == 6000
