from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console, RenderableType

from limbeck.cli.narrow import Narrowing
from limbeck.cli.tables import listing_table, metrics_table, report_table, runs_table

NAMES = ("teacher", "student", "labels", "smoothing", "teacher_labels", "self_training")
ACCURACY = {"mean": 0.9753, "ci95": [0.9712, 1.0]}
MODEL = {"metrics": {"accuracy": ACCURACY}, "parameters": 123_456, "bytes": 1_234_567, "steps": 12_345}
METRICS = {
    "accuracy": ACCURACY, "worst_class_accuracy": {"mean": 0.9012}, "nll": {"mean": 0.1234}, "ece": {"mean": 0.0567},
}  # fmt: skip
REPORT: dict[str, Any] = {
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
