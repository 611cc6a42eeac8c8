"""TensorBoard event files of every fit, where the extra `track` is installed; without it nothing happens."""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from limbeck.errors import UserError
from limbeck.files import reporting_disk_errors
from limbeck.train import ranks
from limbeck.train.loop import Progress
from limbeck.types import Record

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

BOARD = "tensorboard"


def is_installed() -> bool:
    """Whether event files can be written here."""
    return importlib.util.find_spec("tensorboard") is not None


def require_board() -> None:
    """Raise UserError when event files were asked for and cannot be written."""
    if not is_installed():
        raise UserError("--track writes TensorBoard files, but it is not installed: pip install 'limbeck[track]'.")


@contextlib.contextmanager
def boards(folder: Path) -> Iterator[list[Board]]:
    """Yield the observers that write a fit's event files into a folder: one, or none where they cannot be written."""
    found = [Board(folder)] if is_installed() and ranks.is_first() else []
    try:
        yield found
    finally:
        for board in found:
            board.close()


class Board:
    """An observer that writes the figures of one fit into a folder, by optimizer step.

    A fit that is resumed repeats the epochs since its checkpoint; those of before are then not shown.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._writer: SummaryWriter | None = None

    def __call__(self, record: Record) -> None:
        """Write loss, parts, validation accuracy and learning rate of an epoch."""
        figures = {"loss": record.loss, "learning_rate": record.lr, "seconds": record.seconds}
        figures |= {f"parts/{name}": value for name, value in record.parts.items()}
        for kind, found in (record.gradients or {}).items():
            figures |= {f"gradients/{kind}/{name}": value for name, value in found.items()}
        if record.accuracy is not None:
            figures["validation_accuracy"] = record.accuracy
        with reporting_disk_errors(self.folder):
            writer = self._open(record.step)
            for name, value in figures.items():
                writer.add_scalar(name, value, record.step)
            writer.flush()

    def catch_up(self, progress: Progress) -> None:
        """Write the epochs of a fit that was trained before, in another folder."""
        if not self.folder.exists():
            for record in progress.history:
                self(Record(**record))

    def close(self) -> None:
        """Close the file, if there is one."""
        if self._writer is not None:
            self._writer.close()

    def _open(self, step: int) -> SummaryWriter:
        from torch.utils.tensorboard import SummaryWriter

        if self._writer is None:
            self._writer = SummaryWriter(str(self.folder), purge_step=step)
        return self._writer
