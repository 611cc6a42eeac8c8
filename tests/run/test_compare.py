from __future__ import annotations

from pathlib import Path
from typing import Any


def test_a_page_of_two_runs_is_written_and_written_again(finished_run: Path, workplace: Path, call: Any) -> None:
    (workplace / "again").symlink_to(finished_run)
    for _ in range(2):
        answer = call("report", finished_run, "again", "--out", "both.html")
        assert answer.code == 0
        assert answer.out.splitlines()[-1] == "both.html"
    assert "2 runs side by side" in (workplace / "both.html").read_text("utf-8")


def test_one_run_or_a_foreign_file_is_refused(finished_run: Path, workplace: Path, call: Any) -> None:
    answer = call("report", finished_run, "--out", "both.html")
    assert answer.code == 2
    assert "expected two folders or more, got one" in answer.err
    (workplace / "mine.html").write_text("mine")
    (workplace / "again").symlink_to(finished_run)
    answer = call("report", finished_run, "again", "--out", "mine.html")
    assert answer.code == 2
    assert "is no comparison that Limbeck wrote" in answer.err
    assert (workplace / "mine.html").read_text() == "mine"
