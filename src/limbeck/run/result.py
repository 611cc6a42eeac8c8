"""A finished run, in Python and in a notebook."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import nn

from limbeck.errors import FolderError
from limbeck.models.adapt import Adapted
from limbeck.report.html import render_summary
from limbeck.run.folder import REPORT, is_python_run


@dataclass(frozen=True, eq=False)
class Result:
    """A run folder that is finished.

    folder: where it is; report: `report.json` as values; model: the student, None to build it when it is asked for.
    """

    folder: Path
    report: dict[str, Any]
    model: Adapted | None = None

    @property
    def verdict(self) -> dict[str, Any] | None:
        """Outcome, gain, interval and sentence; None when there were no controls."""
        found: dict[str, Any] | None = self.report["verdict"]
        return found

    @cached_property
    def student(self) -> Adapted:
        """The student of the seed that was best on validation, in evaluation mode.

        It takes pictures in 0..1 or raw features and returns `Outputs`. Raises ModelError for an architecture
        of your own that was loaded from disk: give it to `limbeck.load(folder, student=...)`.
        """
        if self.model is not None:
            return self.model
        from limbeck.run.reload import load_model

        return load_model(self.folder / "student")

    def __repr__(self) -> str:
        sentence = self.verdict["sentence"] if self.verdict else "no verdict: there were no controls"
        return f"Result({self.folder}: {sentence})"

    def _repr_html_(self) -> str:
        return render_summary(self.report)


def load(folder: str | Path, student: nn.Module | Callable[[], nn.Module] | None = None) -> Result:
    """Open a finished run.

    student: a module of the student's architecture, or what makes one, needed only where it is your own; it gets the
    run's weights.
    Raises FolderError when the folder is no run or not finished, ModelError when the weights are not this student's.
    """
    folder = Path(folder)
    report = read_report(folder)
    if student is None:
        return Result(folder, report)
    from limbeck.run.reload import load_model

    net = student if isinstance(student, nn.Module) else student()
    return Result(folder, report, load_model(folder / "student", net))


def read_report(folder: Path) -> dict[str, Any]:
    """Return report.json of a run folder; FolderError when there is none or it is of another version."""
    path = folder / REPORT
    if not path.is_file():
        hint = "expected the folder of a finished run, such as runs/digits"
        if (folder / "recipe.yaml").is_file() and is_python_run(folder):
            hint = "the run is not finished; go on with the same limbeck.distill call and resume=True"
        elif (folder / "recipe.yaml").is_file():
            hint = f"the run is not finished; go on with: limbeck run {folder}/recipe.yaml --out {folder} --resume"
        raise FolderError(f"{folder} has no {REPORT}: {hint}.")
    try:
        report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise FolderError(f"{path} is not readable: {error}.") from error
    schema = report.get("schema") if isinstance(report, dict) else None
    if schema != 1:
        raise FolderError(f"{path} has schema {schema!r}; this version of Limbeck reads schema 1.")
    return report
