"""TensorBoard event files of every fit, where the extra `track` is installed; without it nothing happens."""

from __future__ import annotations

import importlib.util
import time
from pathlib import Path

from limbeck.errors import UserError
from limbeck.files import reporting_disk_errors
from limbeck.train import ranks
from limbeck.train.loop import Progress
from limbeck.types import Record

BOARD = "tensorboard"


def is_installed() -> bool:
    """Whether event files can be written here."""
    return importlib.util.find_spec("tensorboard") is not None


def require_board() -> None:
    """Raise UserError when event files were asked for and cannot be written."""
    if not is_installed():
        raise UserError("--track writes TensorBoard files, but it is not installed: pip install 'limbeck[track]'.")


def boards(folder: Path) -> list[Board]:
    """Return the observers that write a fit's event files into a folder: one, or none where they cannot be written."""
    return [Board(folder)] if is_installed() and ranks.is_first() else []


class Board:
    """An observer that writes the figures of one fit into a folder, by optimizer step.

    A fit that is resumed repeats the epochs since its checkpoint; those of before are then not shown. Nothing is open
    between two epochs and nothing is written by a thread, which a run that is stopped would have to wait for.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file: Path | None = None

    def __call__(self, record: Record) -> None:
        """Write loss, parts, validation accuracy and learning rate of an epoch."""
        figures = {"loss": record.loss, "learning_rate": record.lr, "seconds": record.seconds}
        figures |= {f"parts/{name}": value for name, value in record.parts.items()}
        for kind, found in (record.gradients or {}).items():
            figures |= {f"gradients/{kind}/{name}": value for name, value in found.items()}
        if record.accuracy is not None:
            figures[f"validation_{record.measure}"] = record.accuracy
        with reporting_disk_errors(self.folder):
            self._append(record.step, figures)

    def catch_up(self, progress: Progress) -> None:
        """Write the epochs of a fit that was trained before, in another folder."""
        if not self.folder.exists():
            for record in progress.history:
                self(Record(**record))

    def _append(self, step: int, figures: dict[str, float]) -> None:
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.record_writer import RecordWriter

        now = time.time()
        values = [Summary.Value(tag=name, simple_value=value) for name, value in figures.items()]
        events = [Event(wall_time=now, step=step, summary=Summary(value=values))]
        if self._file is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._file = self.folder / f"events.out.tfevents.{now:.6f}.limbeck"
            start = SessionLog(status=SessionLog.START)  # what is at this step or after it in older files is not shown
            events = [
                Event(wall_time=now, file_version="brain.Event:2"),
                Event(wall_time=now, step=step, session_log=start),
                *events,
            ]
        with self._file.open("ab") as file:
            for event in events:
                RecordWriter(file).write(event.SerializeToString())
