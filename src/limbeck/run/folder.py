"""The folder of a run: made, taken up again, or refused; never overwritten without being asked."""

from __future__ import annotations

import contextlib
import fcntl
import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from limbeck.data.dataset import Data
from limbeck.errors import DataError, FolderError
from limbeck.files import reporting_disk_errors, write_text
from limbeck.run.plan import Plan

RECIPE = "recipe.yaml"
STATE = "state.json"
REPORT = "report.json"
LOCK = ".lock"
RUNS = Path("runs")


@contextlib.contextmanager
def open_folder(plan: Plan, *, out: Path | None, resume: bool, force: bool) -> Iterator[Path]:
    """Yield the folder of a run, locked against a second process.

    out: None means runs/<name>, then runs/<name>-2 and so on. Raises FolderError when it exists and neither
    resume nor force was asked for, or when it holds another run.
    """
    folder = out if out is not None else _default(plan, resume)
    _refuse(folder, plan, resume=resume, force=force)
    with reporting_disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / LOCK).open("w")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FolderError(
                f"{folder} is in use by another limbeck process; wait for it or choose another --out."
            ) from None
        if force and not resume:
            _clear(folder)
        if not (folder / STATE).is_file():
            write_text(folder / RECIPE, plan.recipe)
            created = datetime.now(UTC).isoformat(timespec="seconds")
            write_text(folder / STATE, json.dumps({"created": created, **plan.conditions()}))
        yield folder


def read_state(folder: Path) -> dict[str, Any]:
    """Return when the run was created and the hashes of what it began with."""
    state: dict[str, Any] = json.loads((folder / STATE).read_text(encoding="utf-8"))
    return state


def is_run(folder: Path) -> bool:
    """Whether a folder was made by a run."""
    return (folder / RECIPE).is_file() and (folder / STATE).is_file()


def is_python_run(folder: Path) -> bool:
    """Whether a run was started by `limbeck.distill`, so that its recipe.yaml describes it but cannot repeat it."""
    content = yaml.safe_load(_text(folder))
    return isinstance(content, dict) and content.get("data", {}).get("source") == "python"


def refuse_changed(folder: Path, data: Data) -> None:
    """Raise DataError when the data of a run is not what it was made from: its split would be another one."""
    if read_state(folder)["data"] != data.fingerprint:
        raise DataError(
            f"The data of {folder} changed since it was made, so its test samples may have become training samples; "
            f"name data with --data, or make a new run."
        )


def _default(plan: Plan, resume: bool) -> Path:
    taken = [RUNS / plan.name, *(RUNS / f"{plan.name}-{number}" for number in range(2, 10_000))]
    existing = [folder for folder in taken if folder.exists()]
    if resume:
        same = [folder for folder in existing if is_run(folder) and _text(folder) == plan.recipe]
        if not same:
            raise FolderError(
                f"There is no run of this recipe in {RUNS}/ to resume; leave out --resume, or name it with --out."
            )
        return ([folder for folder in same if not (folder / REPORT).is_file()] or same)[-1]
    return next(folder for folder in taken if not folder.exists())


def _refuse(folder: Path, plan: Plan, *, resume: bool, force: bool) -> None:
    if folder.is_file():
        raise FolderError(f"{folder} is a file; --out expects a folder.")
    if not folder.is_dir() or _is_blank(folder, plan):
        return
    if resume:
        _must_match(folder, plan)
    elif not force:
        raise FolderError(
            f"{folder} exists already. Use --resume to go on with it, --force to replace it, "
            f"or --out for another folder."
        )
    elif not is_run(folder):
        raise FolderError(f"{folder} is not a run folder, so --force does not delete it; choose another --out.")


def _clear(folder: Path) -> None:
    """Empty a run folder: the report first, what makes it a run folder last, so that a kill leaves no false one."""
    order = {REPORT: 0, STATE: 2, RECIPE: 3}
    with reporting_disk_errors(folder):
        for path in sorted(folder.iterdir(), key=lambda path: order.get(path.name, 1)):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path.name != LOCK:
                path.unlink()


def _is_blank(folder: Path, plan: Plan) -> bool:
    """Whether a folder holds nothing but what this run leaves when it is killed in its first moment."""
    if (folder / RECIPE).is_file() and _text(folder) != plan.recipe:
        return False
    started = {LOCK, RECIPE, f".{RECIPE}.partial", f".{STATE}.partial"}
    return all(path.name in started for path in folder.iterdir()) and not (folder / STATE).exists()


def _must_match(folder: Path, plan: Plan) -> None:
    if not is_run(folder):
        raise FolderError(f"{folder} is not a run folder, so there is nothing to resume.")
    if _text(folder) != plan.recipe:
        keys = sorted(_different(yaml.safe_load(_text(folder)), yaml.safe_load(plan.recipe)))
        raise FolderError(
            f"{folder} was made by another recipe (different: {', '.join(keys) or 'order'}); resume it with its own "
            f"{RECIPE}, or choose another --out."
        )
    state = read_state(folder)
    changed = [name for name, value in plan.conditions().items() if state.get(name) != value]
    if changed:
        raise FolderError(
            f"The {' and the '.join(changed)} (contents, weights or normalisation) changed since {folder} was started; "
            f"begin a new run instead of resuming."
        )


def _different(left: Any, right: Any, place: str = "") -> Iterator[str]:
    if isinstance(left, dict) and isinstance(right, dict):
        for key in left.keys() | right.keys():
            yield from _different(left.get(key), right.get(key), f"{place}.{key}" if place else str(key))
    elif left != right:
        yield place


def _text(folder: Path) -> str:
    return (folder / RECIPE).read_text(encoding="utf-8")
