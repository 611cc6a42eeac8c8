from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

import limbeck.files
from limbeck.errors import DiskError
from limbeck.files import delete, reporting_disk_errors, write_bytes, write_text


def test_a_file_is_written_with_its_folders_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file.txt"
    write_text(path, "grün\n")
    assert path.read_bytes() == "grün\n".encode()
    assert [child.name for child in path.parent.iterdir()] == ["file.txt"]
    write_bytes(path, b"")
    assert path.read_bytes() == b""


@pytest.mark.parametrize("stop", [KeyboardInterrupt, OSError(errno.EIO, "Input/output error")])
@pytest.mark.parametrize("moment", ["fsync", "replace"])
def test_what_stops_before_the_rename_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str, stop: BaseException | type[BaseException]
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def broken(*_: object) -> None:
        raise stop

    monkeypatch.setattr(os, moment, broken)
    with pytest.raises((KeyboardInterrupt, OSError)):
        write_bytes(path, b"new and longer")
    assert [child.name for child in tmp_path.iterdir()] == ["file"]
    assert path.read_bytes() == b"old"


def test_content_reaches_the_disk_before_the_rename(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(limbeck.files.os, "fsync", lambda number: (calls.append("fsync"), fsync(number)))
    monkeypatch.setattr(limbeck.files.os, "replace", lambda a, b: (calls.append("replace"), replace(a, b)))
    write_bytes(tmp_path / "file", b"x")
    assert calls == ["fsync", "replace"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_gets_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def full(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskError) as caught:
        write_bytes(tmp_path / "file", b"x")
    assert str(caught.value) == (
        f"The disk is full: {tmp_path / 'file'} could not be written. Free some space, then go on with --resume."
    )
    assert caught.value.exit_code == 1
    assert list(tmp_path.iterdir()) == []


def test_a_file_beyond_the_limit_gets_a_sentence() -> None:
    says = "^out/file could not be written: .*File too large.* --resume.$"
    with pytest.raises(DiskError, match=says), reporting_disk_errors(Path("out/file")):
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EROFS])
def test_a_place_that_cannot_be_written_gets_a_sentence(number: int) -> None:
    with pytest.raises(DiskError) as caught, reporting_disk_errors(Path("out/file")):
        raise OSError(number, os.strerror(number))
    sentence = f"out/file cannot be written ({os.strerror(number)}); choose another folder with --out."
    assert str(caught.value) == sentence


def test_a_file_in_the_place_of_a_folder_gets_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(DiskError, match="cannot be written"):
        write_bytes(tmp_path / "file" / "below", b"x")
    with pytest.raises(DiskError, match="cannot be written"):
        write_bytes(tmp_path / "file" / "far" / "below", b"x")


def test_other_errors_are_passed_on() -> None:
    with pytest.raises(OSError, match="Input/output error"), reporting_disk_errors(Path("x")):
        raise OSError(errno.EIO, os.strerror(errno.EIO))
    with pytest.raises(ZeroDivisionError), reporting_disk_errors(Path("x")):
        raise ZeroDivisionError


def test_deleting_takes_the_file_and_what_a_killed_write_has_left(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / ".file.partial").write_text("half")
    (tmp_path / "other").write_text("y")
    delete(tmp_path / "file")
    delete(tmp_path / "file")
    assert [child.name for child in tmp_path.iterdir()] == ["other"]


def test_a_write_goes_over_what_a_killed_one_has_left(tmp_path: Path) -> None:
    (tmp_path / ".file.partial").write_text("a longer half of something else")
    write_text(tmp_path / "file", "x")
    assert {child.name: child.read_text() for child in tmp_path.iterdir()} == {"file": "x"}
