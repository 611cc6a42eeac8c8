from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

_PLACE = Path(__file__).parents[2] / "benchmarks" / "planted.py"
_SPEC = importlib.util.spec_from_file_location("planted", _PLACE)
planted = importlib.util.module_from_spec(_SPEC)
sys.modules["planted"] = planted  # where its dataclasses look for their types
_SPEC.loader.exec_module(planted)
