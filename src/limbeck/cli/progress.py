"""Progress on stderr: two bars with the time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from limbeck.types import Record

TEACHER = "teacher"


class Bars:
    """A watcher for people. Use it as a context manager."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._bars: dict[bool, TaskID] = {}
        self._answers: TaskID | None = None
        self._features: TaskID | None = None
        self._fits: dict[tuple[str, int], int] = {}

    def __enter__(self) -> Bars:
        self.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.progress.stop()

    def say(self, text: str) -> None:
        """Print a line."""
        self.console.print(f"[dim]{text} ...[/dim]", highlight=False)

    def expect(self, teacher_steps: int, steps: int) -> None:
        """Set the lengths of the two bars."""
        if teacher_steps:
            self._bars[True] = self.progress.add_task("teacher", total=teacher_steps)
        self._bars[False] = self.progress.add_task("student and controls", total=steps)

    def record(self, record: Record) -> None:
        """Move the bar of the model by the steps of an epoch."""
        key = (record.model, record.seed)
        moved = record.step - self._fits.get(key, 0)
        self._fits[key] = record.step
        self._advance(record.model, moved)

    def done(self, model: str, seed: int, steps: int) -> None:
        """Move the bar by what is left of a fit that was taken from disk."""
        self._advance(model, max(steps - self._fits.pop((model, seed), 0), 0))

    def answered(self, count: int, of: int) -> None:
        """Move the bar of the teacher's answers, which comes with the first of them."""
        if self._answers is None:
            self._answers = self.progress.add_task("teacher's answers", total=of)
        self.progress.advance(self._answers, count)

    def computed(self, count: int, of: int) -> None:
        """Move the bar of a frozen body's features, which is there while some are missing."""
        if self._features is None:
            self._features = self.progress.add_task("frozen features", total=of)
        self.progress.update(self._features, advance=count, total=of)
        if self.progress.finished:
            self.progress.remove_task(self._features)
            self._features = None

    def _advance(self, model: str, steps: int) -> None:
        bar = self._bars.get(model == TEACHER)
        if bar is not None:
            self.progress.advance(bar, steps)
