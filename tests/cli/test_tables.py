from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console, RenderableType

from limbeck.cli.narrow import Narrowing
from limbeck.cli.tables import files_table, listing_table, metrics_table, report_table, runs_table

NAMES = ("teacher", "student", "labels", "smoothing", "teacher_labels", "self_training")
ACCURACY = {"mean": 0.9753, "ci95": [0.9712, 1.0]}
MODEL = {"metrics": {"accuracy": ACCURACY}, "parameters": 123_456, "bytes": 1_234_567, "steps": 12_345}
METRICS = {
    "accuracy": ACCURACY, "worst_class_accuracy": {"mean": 0.9012}, "nll": {"mean": 0.1234}, "ece": {"mean": 0.0567},
}  # fmt: skip
REPORT: dict[str, Any] = {
    "primary": "accuracy",
    "models": dict.fromkeys(NAMES, MODEL),
    "stages": [{"controls": {"labels": "labels"}}],
    "verdict": {"gain": 0.0123, "ci95": [0.01, 0.0146], "against": "labels", "outcome": "better"},
}


def printed(shown: RenderableType, width: int) -> str:
    text = io.StringIO()
    Console(file=text, width=width).print(shown)
    assert max(map(len, text.getvalue().splitlines())) <= width
    assert "…" not in text.getvalue()
    return text.getvalue()


def head(text: str) -> str:
    return " ".join(next(line for line in text.splitlines() if line.startswith(("model ", "run "))).split())


@pytest.mark.parametrize(
    ("width", "columns"),
    [
        (30, "model accuracy"),
        (40, "model accuracy 95 %"),
        (55, "model accuracy 95 % params"),
        (60, "model accuracy 95 % params bytes"),
        (80, "model accuracy 95 % params bytes steps"),
    ],
)
def test_report_leaves_out_sizes_first(width: int, columns: str) -> None:
    text = printed(report_table(REPORT), width)
    assert head(text) == columns
    for name in NAMES:
        assert [line.split()[1] for line in text.splitlines() if line.split()[:1] == [name]] == ["97.5%"]


@pytest.mark.parametrize(
    ("width", "columns"),
    [
        (40, "model accuracy 95 %"),
        (55, "model accuracy 95 % worst class"),
        (60, "model accuracy 95 % worst class nll"),
        (80, "model accuracy 95 % worst class nll ece"),
    ],
)
def test_metrics_leave_out_calibration_first(width: int, columns: str) -> None:
    text = printed(metrics_table(dict.fromkeys(NAMES, METRICS)), width)
    assert head(text) == columns
    assert all(f"\n{name} " in text for name in NAMES)


@pytest.mark.parametrize(
    ("more", "says"), [({}, "on validation; a run's"), ({"samples": 1360}, "on 1,360 test samples")]
)
def test_metrics_say_whose_they_are(more: Mapping[str, Any], says: str) -> None:
    text = " ".join(printed(metrics_table({"student": {**METRICS, **more}}), 80).split())
    assert text.startswith("Figures of each model's kept seed, the best on validation")
    assert says in text


@pytest.mark.parametrize("width", [40, 55, 60, 80])
def test_runs_keep_the_verdict_and_fold_long_folders(width: int) -> None:
    folder = "runs/" + "a-folder-with-a-long-name-" * 4
    text = printed(runs_table({folder: REPORT, "runs/plain": {**REPORT, "verdict": None}}), width)
    assert "better" in text and "no controls" in text
    assert head(text).startswith("run") and head(text).endswith("verdict")
    assert "runs/plain" in text


@pytest.mark.parametrize("width", [40, 80])
def test_listing_cuts_nothing(width: int) -> None:
    row = {"name": "teacher_labels", "options": "a_very_long_option_of_a_term=0.5", "summary": "something"}
    text = printed(listing_table([row]), width)
    assert "teacher_labels" in text


@given(st.lists(st.text("abc[]_/", min_size=1, max_size=24), min_size=1, max_size=4), st.integers(28, 90))
def test_names_are_whole_at_every_width(names: list[str], width: int) -> None:
    rows = [[name, "1", "22222222222", "3" * 30] for name in names]
    text = printed(Narrowing(("n", "x", "y", "z"), rows, spare=("z", "y")), width)
    shown = [line.split()[0] for line in text.splitlines()[3:] if line.strip()]
    assert shown == names


FILE = {
    "file": "export/student.onnx", "bytes": 70_845, "metrics": METRICS, "latency_ms": [{"threads": 1, "p50": 0.08}],
}  # fmt: skip
SMALL = {**FILE, "file": "export/student.int8.onnx", "bytes": 28_415, "latency_ms": [{"threads": 1, "p50": 0.06}]}


@pytest.mark.parametrize(
    ("width", "columns"),
    [
        (40, "file accuracy bytes"),
        (50, "file accuracy bytes ms"),
        (80, "file accuracy 95 % worst class bytes ms ratio"),
    ],
)
def test_files_say_what_the_int8_file_costs_and_saves(width: int, columns: str) -> None:
    text = printed(files_table({"primary": "accuracy", "export": {"onnx": FILE, "int8": SMALL}}), width)
    rows = {line.split()[0]: line.split() for line in text.splitlines() if line.startswith(("file", "student"))}
    assert " ".join(rows["file"]) == columns
    assert "28,415" in rows["student.int8.onnx"] and "97.5%" in rows["student.int8.onnx"]
    if width == 80:
        assert rows["student.onnx"][-2:] == ["0.080", "1.00"]
        assert rows["student.int8.onnx"][-2:] == ["0.060", "0.75"]


@pytest.mark.parametrize("int8", [None, {"file": None}])
def test_a_file_that_does_not_ship_has_no_row(int8: Any) -> None:
    assert "int8" not in printed(files_table({"primary": "accuracy", "export": {"onnx": FILE, "int8": int8}}), 80)
