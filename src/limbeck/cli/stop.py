"""A run that is stopped from outside: Ctrl-C, SIGTERM, or a file that the system refuses."""

from __future__ import annotations

import contextlib
import shlex
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from limbeck.errors import DiskError

if TYPE_CHECKING:
    from limbeck.recipe.model import Recipe

INTERRUPTED = 130
TERMINATED = 143


class Terminated(KeyboardInterrupt):
    """SIGTERM came: the run ends as after Ctrl-C."""


class Stopped(Exception):
    """A run was stopped. exit_code: 130 or 143; command: what goes on with it, None before it has a folder."""

    def __init__(self, exit_code: int, command: str | None) -> None:
        super().__init__(exit_code, command)
        self.exit_code = exit_code
        self.command = command


@contextlib.contextmanager
def stoppable(recipe: Recipe, out: Path | None, *, demo: bool) -> Iterator[None]:
    """Turn what stops a run into Stopped, or into a DiskError that says how to go on.

    out: the folder that was asked for, None for runs/NAME; demo: whether `limbeck demo` goes on with it.
    """
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    except KeyboardInterrupt as stop:
        code = TERMINATED if isinstance(stop, Terminated) else INTERRUPTED
        raise Stopped(code, command_to_go_on(recipe, out, demo=demo)) from None
    except BrokenPipeError:
        raise
    except OSError as error:
        command = command_to_go_on(recipe, out, demo=demo)
        if command is None:
            raise
        raise DiskError(f"{sentence(error)} Then go on with: {command}") from error
    finally:
        signal.signal(signal.SIGTERM, before)


def command_to_go_on(recipe: Recipe, out: Path | None, *, demo: bool) -> str | None:
    """Return the command that resumes the unfinished run of a recipe, None where there is none on disk."""
    from limbeck.recipe.model import own_classes

    folder = _unfinished(recipe, out)
    if folder is None:
        return None
    words = ["demo"] if demo else ["run", str(folder / "recipe.yaml")]
    trust = ["--trust"] if own_classes(recipe) else []
    return shlex.join(["limbeck", *words, "--out", str(folder), "--resume", *trust])


def sentence(error: OSError) -> str:
    """Say which file the system refused, as far as that is known, and why."""
    return f"{error.filename or 'A file'} cannot be used: {error.strerror or error}."


def _unfinished(recipe: Recipe, out: Path | None) -> Path | None:
    """Return the folder of this recipe's unfinished run that was opened last."""
    from limbeck.recipe.load import dump_recipe
    from limbeck.run.folder import LOCK, RECIPE, REPORT, RUNS, is_run

    text = dump_recipe(recipe)
    mine = [
        folder
        for folder in ([out] if out is not None else RUNS.glob(f"{recipe.name}*"))
        if is_run(folder) and (folder / RECIPE).read_text(encoding="utf-8") == text and not (folder / REPORT).is_file()
    ]
    return max(mine, key=lambda folder: (folder / LOCK).stat().st_mtime_ns, default=None)


def _terminate(number: int, frame: object) -> NoReturn:
    raise Terminated
