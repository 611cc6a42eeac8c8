from __future__ import annotations

import io

from rich.console import Console

from limbeck.cli.progress import Bars
from limbeck.types import Record


def record(model: str, step: int, seed: int = 0) -> Record:
    return Record(model, seed, 1, 1, step, 0.0, {}, None, 0.0, 0.0)


def bars(terminal: bool) -> tuple[Bars, io.StringIO]:
    text = io.StringIO()
    return Bars(Console(file=text, force_terminal=terminal, width=80)), text


def test_bars_follow_the_steps():
    shown, _ = bars(terminal=True)
    with shown:
        shown.expect(10, 40)
        shown.record(record("teacher", 4))
        shown.record(record("teacher", 10))
        shown.record(record("student", 5))
        shown.done("student", 0, 20)  # what early stopping has left out
        shown.record(record("labels", 5))
        shown.record(record("labels", 5, seed=1))

    assert [task.completed for task in shown.progress.tasks] == [10, 30]


def test_fit_found_on_disk_moves_the_bar():
    shown, _ = bars(terminal=True)
    with shown:
        shown.expect(0, 40)
        shown.done("student", 0, 20)

    assert [(task.description, task.completed) for task in shown.progress.tasks] == [("student and controls", 20)]


def test_plain_lines_where_there_is_no_terminal():
    shown, text = bars(terminal=False)
    with shown:
        shown.say("Training")
        shown.expect(10, 40)
        shown.record(record("student", 5))

    assert text.getvalue() == "Training ...\n"
