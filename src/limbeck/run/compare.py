"""`limbeck report DIR DIR --out PAGE`: several runs on one page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from limbeck.errors import FolderError
from limbeck.files import write_text
from limbeck.report.comparison import MARK, render_comparison


def write_comparison(path: Path, reports: Mapping[str, Mapping[str, Any]]) -> None:
    """Write the page that compares runs, by the names of their folders.

    Raises FolderError for fewer than two runs, and where the path holds something else than such a page.
    """
    if len(reports) < 2:
        raise FolderError("--out writes a page that compares runs; expected two folders or more, got one.")
    if path.is_dir() or (path.exists() and MARK not in path.read_text(encoding="utf-8", errors="replace")):
        raise FolderError(f"{path} exists and is no comparison that Limbeck wrote; choose another --out.")
    write_text(path, render_comparison(reports))
