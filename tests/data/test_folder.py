from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from PIL import Image

from limbeck.data.contents import ReadOptions
from limbeck.data.folder import read_folder
from limbeck.errors import DataError, DiskError

AS_FOUND = ReadOptions()
Make = Callable[..., Path]


def names(*folders: str, count: int = 3) -> list[str]:
    return [f"{folder}/{number}.png" for folder in folders for number in range(count)]


def test_one_folder_for_each_class(make_folder: Make) -> None:
    folder = make_folder(*names("dog", "cat"))
    source = read_folder(folder, AS_FOUND)
    assert source.classes == ("cat", "dog")
    assert source.train.ids == tuple(names("cat", "dog"))
    assert source.train.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert source.train.shape == (1, 6, 4)
    assert source.test is None
    assert source.unlabelled is None
    assert source.notes == ()
    assert source.reading == ReadOptions(size=(6, 4), channels="grey")
    pixels = np.asarray(Image.open(folder / "dog/1.png"))
    np.testing.assert_array_equal(source.train.inputs[4, 0].numpy(), pixels)


def test_train_test_and_unlabelled(make_folder: Make) -> None:
    folder = make_folder(*names("train/a", "train/b"), *names("test/a", "test/b", "unlabelled", count=2))
    (folder / "validation").mkdir()
    source = read_folder(folder, AS_FOUND)
    assert source.test is not None
    assert source.unlabelled is not None
    assert source.test.ids == tuple(names("test/a", "test/b", count=2))
    assert source.test.labels.tolist() == [0, 0, 1, 1]
    assert source.unlabelled.ids == ("unlabelled/0.png", "unlabelled/1.png")
    assert source.unlabelled.labels.tolist() == [-1, -1]
    assert len(source.train) == 6
    assert "validation" in source.notes[0]


def test_a_class_may_be_called_train(make_folder: Make) -> None:
    source = read_folder(make_folder(*names("bus", "train", "unlabelled")), AS_FOUND)
    assert source.classes == ("bus", "train")
    assert source.unlabelled is not None


def test_pictures_of_every_size_and_colour(make_folder: Make) -> None:
    make_folder(*names("a"), size=(30, 20))
    folder = make_folder(*names("b"), size=(10, 40), mode="RGB")
    source = read_folder(folder, AS_FOUND)
    assert source.train.shape == (3, 64, 64)
    assert "2 sizes" in source.notes[0]
    assert "64 x 64" in source.notes[0]
    sized = read_folder(folder, ReadOptions(size=(5, 7), channels="grey"))
    assert sized.train.shape == (1, 5, 7)
    assert sized.notes == ()


def test_grey_pictures_saved_in_colour_are_grey(make_folder: Make) -> None:
    folder = make_folder(*names("a", "b"))
    level = Image.fromarray(np.arange(24, dtype=np.uint8).reshape(6, 4))
    level.convert("RGB").save(folder / "a" / "colour.png")
    source = read_folder(folder, AS_FOUND)
    assert source.train.shape == (1, 6, 4)
    assert source.reading is not None
    assert source.reading.channels == "grey"
    row = source.train.ids.index("a/colour.png")
    np.testing.assert_array_equal(source.train.inputs[row, 0].numpy(), np.asarray(level))


def test_other_files_are_ignored_and_noted(make_folder: Make) -> None:
    folder = make_folder(*names("a", "b"), "a/.hidden.png", "a/deep/er.png")
    (folder / "a" / "notes.txt").write_text("x")
    (folder / "readme.md").write_text("x")
    (folder / ".git").mkdir()
    (folder / "a" / "UPPER.PNG").write_bytes((folder / "a" / "0.png").read_bytes())
    source = read_folder(folder, AS_FOUND)
    assert len(source.train) == 7
    assert source.classes == ("a", "b")
    for name in ("a/.hidden.png", "a/notes.txt", "a/deep", "readme.md"):
        assert name in source.notes[0]


def test_unreadable_files_are_all_listed(make_folder: Make) -> None:
    folder = make_folder(*names("a", "b", count=8))
    for number in range(6):
        (folder / "a" / f"{number}.png").write_bytes(b"broken")
        content = (folder / "b" / f"{number}.png").read_bytes()
        (folder / "b" / f"{number}.png").write_bytes(content[:60])
    with pytest.raises(DataError, match=r"12 pictures cannot be read: .*and 2 more.*data.corrupt: skip") as error:
        read_folder(folder, AS_FOUND)
    assert str(error.value).count(".png") == 10
    source = read_folder(folder, ReadOptions(corrupt="skip"))
    assert source.train.ids == ("a/6.png", "a/7.png", "b/6.png", "b/7.png")
    assert source.train.labels.tolist() == [0, 0, 1, 1]
    assert "12 pictures left out" in source.notes[0]
    pixels = np.asarray(Image.open(folder / "b/7.png"))
    np.testing.assert_array_equal(source.train.inputs[3, 0].numpy(), pixels)


def test_a_class_that_cannot_be_read_at_all(make_folder: Make) -> None:
    folder = make_folder(*names("a", "b"))
    for path in (folder / "a").iterdir():
        path.write_bytes(b"")
    with pytest.raises(DataError, match="no picture of a can be read"):
        read_folder(folder, ReadOptions(corrupt="skip"))


def test_missing_and_empty_folders(make_folder: Make, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r'no folder ".*nowhere"'):
        read_folder(tmp_path / "nowhere", AS_FOUND)
    folder = make_folder(*names("a", "b"))
    (folder / "c").mkdir()
    with pytest.raises(DataError, match='c: the class "c" has no picture'):
        read_folder(folder, AS_FOUND)
    flat = make_folder("../flat/0.png").parent / "flat"
    with pytest.raises(DataError, match="one folder for each class"):
        read_folder(flat, AS_FOUND)


def test_flat_train_and_test_folders_are_not_classes(make_folder: Make) -> None:
    with pytest.raises(DataError, match="only the folders test, train"):
        read_folder(make_folder(*names("train", "test")), AS_FOUND)


def test_test_must_have_the_classes_of_train(make_folder: Make) -> None:
    folder = make_folder(*names("train/a", "train/b", "test/a", "test/c"))
    with pytest.raises(DataError, match="but b missing and c unknown"):
        read_folder(folder, AS_FOUND)


@pytest.mark.parametrize("kind", ["grey", "colour", "grey in colour"])
@pytest.mark.parametrize("broken", [False, True])
def test_what_does_not_fit_into_memory_is_the_same_from_a_file(make_folder: Make, kind: str, broken: bool) -> None:
    every = [*names("train/a", "train/b", count=5), *names("test/a", "test/b", "unlabelled")]
    folder = make_folder(*every, mode="RGB" if kind == "colour" else "L")
    if kind == "grey in colour":
        Image.open(folder / "train/a/0.png").convert("RGB").save(folder / "train/a/0.png")
    for name in ("train/a/1.png", "test/b/0.png") if broken else ():
        (folder / name).write_bytes(b"broken")
    options = ReadOptions(corrupt="skip")
    resident, filed = read_folder(folder, options), read_folder(folder, replace(options, memory=0))
    assert filed.reading == replace(resident.reading or options, memory=0)
    assert [note for note in filed.notes if note not in resident.notes] == [
        f"{16 - 2 * broken + 3} pictures take 0.0 GiB, so they were decoded into a file."
    ]
    marks = set()
    for mine, theirs in ((filed.train, resident.train), (filed.test, resident.test),
                         (filed.unlabelled, resident.unlabelled)):  # fmt: skip
        assert mine is not None and theirs is not None and theirs.mapped is None and mine.mapped
        assert torch.equal(mine.inputs, theirs.inputs) and torch.equal(mine.labels, theirs.labels)
        assert mine.ids == theirs.ids
        marks.add(mine.mapped)
    assert len(marks) == 3
    again = read_folder(folder, replace(options, memory=0)).train
    assert again.fingerprint == filed.train.fingerprint


def test_a_changed_photo_changes_the_fingerprint(make_folder: Make) -> None:
    folder = make_folder(*names("a", "b"))
    before = read_folder(folder, ReadOptions(memory=0)).train.fingerprint
    Image.fromarray(np.zeros((6, 4), dtype=np.uint8)).save(folder / "a/0.png")
    assert read_folder(folder, ReadOptions(memory=0)).train.fingerprint != before


def test_too_much_for_memory_and_disk_is_a_sentence(make_folder: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    class Memory:
        available = 200

    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(psutil, "virtual_memory", Memory)
    folder = make_folder(*names("a", "b"))
    assert read_folder(folder, AS_FOUND).train.mapped
    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(DiskError, match="The disk is full"):
        read_folder(folder, AS_FOUND)


def test_ids_are_paths_whatever_the_name(make_folder: Make) -> None:
    odd = "b/naïve 图 #1.png"
    source = read_folder(make_folder(*names("a"), odd), AS_FOUND)
    assert odd in source.train.ids
    assert len(source.train.keys.unique()) == 4
