"""Files that are either whole or not there: written beside their place and then renamed into it."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from limbeck.errors import DiskError

OFF = "off"


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file atomically: a kill at any moment leaves the old content or the new, never half of it."""
    partial = _partial(path)
    with reporting_disk_errors(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with partial.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise


def delete(path: Path) -> None:
    """Delete a file, if it is there, and what a killed write of it has left beside its place."""
    path.unlink(missing_ok=True)
    _partial(path).unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file atomically."""
    write_bytes(path, text.encode("utf-8"))


@contextlib.contextmanager
def reporting_disk_errors(path: Path) -> Iterator[None]:
    """Turn the errors of a full disk, a file limit or a folder that cannot be written into a sentence."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskError(
                f"The disk is full: {path} could not be written. Free some space, then go on with --resume."
            ) from error
        if error.errno == errno.EFBIG:
            raise DiskError(
                f"{path} could not be written: it is larger than a file may be here ({error.strerror}; see ulimit -f). "
                f"Raise that limit, then go on with --resume."
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST):
            raise DiskError(
                f"{path} cannot be written ({error.strerror}); choose another folder with --out."
            ) from error
        raise


def cache_folder() -> Path | None:
    """Return $LIMBECK_CACHE, or `limbeck` in the user's cache folder; None for `LIMBECK_CACHE=off`."""
    chosen = os.environ.get("LIMBECK_CACHE", "")
    if chosen == OFF:
        return None
    if chosen:
        return Path(chosen).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "limbeck"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "limbeck"


def _partial(path: Path) -> Path:
    return path.with_name(f".{path.name}.partial")
