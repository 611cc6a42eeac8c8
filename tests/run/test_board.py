"""TensorBoard event files: what is in them, and that nothing happens without the extra."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest

import limbeck.run.board
from limbeck.errors import UserError
from limbeck.run.board import Board, boards, require_board
from limbeck.train.loop import Progress
from limbeck.types import Record

event_accumulator = pytest.importorskip(
    "tensorboard.backend.event_processing.event_accumulator", reason="the extra `track` (tensorboard) is not installed"
)


def record(step: int, loss: float = 0.5, accuracy: float | None = 0.75) -> Record:
    parts = {"soft_labels": 2 * loss, "cross_entropy": 0.1}
    return Record("student", 3, step // 4, 5, step, loss, parts, accuracy, 0.01, 1.5)


def read(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Return every curve of a folder by its name: pairs (step, value)."""
    found = event_accumulator.EventAccumulator(str(folder))
    found.Reload()
    return {tag: [(one.step, one.value) for one in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


def test_every_figure_of_a_record_is_a_curve(tmp_path: Path) -> None:
    (board,) = boards(tmp_path / "fit")
    for one in (record(4), record(8, loss=0.25)):
        board(one)
    curves = read(tmp_path / "fit")
    assert curves["loss"] == [(4, 0.5), (8, 0.25)]
    assert curves["parts/soft_labels"] == [(4, 1.0), (8, 0.5)]
    assert curves["validation_accuracy"] == [(4, 0.75), (8, 0.75)]
    assert curves.keys() == {
        "loss", "parts/soft_labels", "parts/cross_entropy", "validation_accuracy", "learning_rate", "seconds",
    }  # fmt: skip


def test_gradients_that_were_measured_are_curves_too(tmp_path: Path) -> None:
    measured = {"norms": {"soft_labels": 2.0}, "cosines": {"soft_labels, cross_entropy": -0.5}}
    one = Board(tmp_path)
    one(replace(record(4), gradients=measured))
    found = read(tmp_path)
    assert found["gradients/norms/soft_labels"] == [(4, 2.0)]
    assert [value for name, ((_, value),) in found.items() if name.startswith("gradients/cosines/")] == [-0.5]


def test_without_validation_there_is_no_such_curve(tmp_path: Path) -> None:
    one = Board(tmp_path)
    one(record(4, accuracy=None))
    assert "validation_accuracy" not in read(tmp_path)


def test_a_resumed_fit_writes_over_what_it_repeats(tmp_path: Path) -> None:
    for steps, loss in (((4, 8, 12), 1.0), ((8, 12, 16), 2.0)):
        one = Board(tmp_path)
        for step in steps:
            one(record(step, loss))
    assert read(tmp_path)["loss"] == [(4, 1.0), (8, 2.0), (12, 2.0), (16, 2.0)]


def test_a_fit_from_the_cache_is_shown_once(tmp_path: Path) -> None:
    from dataclasses import asdict

    for _ in range(2):
        one = Board(tmp_path / "fit")
        one.catch_up(Progress(history=[asdict(record(4)), asdict(record(8))]))
    assert [step for step, _ in read(tmp_path / "fit")["loss"]] == [4, 8]


def test_nothing_waits_for_a_thread(tmp_path: Path) -> None:
    before = threading.active_count()
    Board(tmp_path)(record(4))
    assert threading.active_count() == before


def test_without_the_extra_nothing_is_written_unless_it_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_board()
    monkeypatch.setattr(limbeck.run.board, "is_installed", lambda: False)
    assert boards(tmp_path / "fit") == []
    assert not (tmp_path / "fit").exists()
    with pytest.raises(UserError, match=r"not installed: pip install 'limbeck\[track\]'"):
        require_board()


def test_every_fit_of_a_run_has_its_folder(finished_run: Path) -> None:
    folder = finished_run / "tensorboard"
    fits = {path.parent.relative_to(folder).as_posix() for path in folder.rglob("events*")}
    roles = ("student", "controls/labels", "controls/smoothing", "controls/teacher_labels")
    assert fits == {"teacher", *(f"{role}/seeds/{seed}" for role in roles for seed in (0, 1))}
    assert [step for step, _ in read(folder / "student" / "seeds" / "0")["loss"]] == sorted(
        step for step, _ in read(folder / "student" / "seeds" / "0")["parts/soft_labels"]
    )
