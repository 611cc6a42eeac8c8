from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from limbeck.data.contents import ReadOptions
from limbeck.data.idx import read_idx
from limbeck.errors import DataError

AS_FOUND = ReadOptions()
PIXELS = np.random.default_rng(0).integers(0, 256, (6, 5, 4), dtype=np.uint8)
LABELS = np.array([0, 1, 2, 0, 1, 2], dtype=np.uint8)


def idx(array: np.ndarray) -> bytes:
    head = struct.pack(f">{1 + array.ndim}I", 0x0800 + array.ndim, *array.shape)
    return head + array.tobytes()


def write(folder: Path, split: str, pixels: np.ndarray = PIXELS, labels: np.ndarray = LABELS) -> None:
    (folder / f"{split}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(pixels)))
    (folder / f"{split}-labels-idx1-ubyte").write_bytes(idx(labels))


def test_train_and_test_files(tmp_path: Path) -> None:
    write(tmp_path, "train")
    alone = read_idx(tmp_path, AS_FOUND)
    assert alone.test is None
    write(tmp_path, "t10k", PIXELS[:2], LABELS[:2])
    source = read_idx(tmp_path, AS_FOUND)
    assert source.classes == ("0", "1", "2")
    np.testing.assert_array_equal(source.train.inputs[:, 0].numpy(), PIXELS)
    assert source.train.labels.tolist() == LABELS.tolist()
    assert source.test is not None
    assert len(source.test) == 2
    assert not set(source.test.ids) & set(source.train.ids)
    assert source.reading == ReadOptions(size=(5, 4), channels="grey")


def test_pictures_are_resized_as_asked(tmp_path: Path) -> None:
    write(tmp_path, "train")
    source = read_idx(tmp_path, ReadOptions(size=8, channels="rgb"))
    assert source.train.shape == (3, 8, 8)
    assert source.reading == ReadOptions(size=(8, 8), channels="rgb")


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no folder"):
        read_idx(tmp_path / "nowhere", AS_FOUND)
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte.*is missing"):
        read_idx(tmp_path, AS_FOUND)
    write(tmp_path, "train")
    write(tmp_path, "t10k")
    (tmp_path / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(DataError, match=r"t10k-labels-idx1-ubyte.*is missing"):
        read_idx(tmp_path, AS_FOUND)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"\x00\x00", "2 bytes, too few"),
        (idx(LABELS.reshape(6, 1)), "magic number must be 2049 .* but it is 2050"),
        (idx(LABELS)[:-1], r"promises 6 = 6 bytes, but 5 follow"),
        (idx(LABELS) + b"x", "but 7 follow"),
        (idx(LABELS[:4]), "6 pictures, but .* 4 labels"),
    ],
)
def test_damaged_labels_are_a_sentence(tmp_path: Path, content: bytes, sentence: str) -> None:
    write(tmp_path, "train")
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(content)
    with pytest.raises(DataError, match=rf"train-labels-idx1-ubyte.*{sentence}|{sentence}"):
        read_idx(tmp_path, AS_FOUND)


def test_other_damage_is_a_sentence(tmp_path: Path) -> None:
    write(tmp_path, "train")
    whole = (tmp_path / "train-images-idx3-ubyte.gz").read_bytes()
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(whole[:-12])
    with pytest.raises(DataError, match=r"idx3-ubyte\.gz: cannot be read"):
        read_idx(tmp_path, AS_FOUND)
    write(tmp_path, "train", PIXELS[:0], LABELS[:0])
    with pytest.raises(DataError, match="there are no pictures"):
        read_idx(tmp_path, AS_FOUND)
    write(tmp_path, "train")
    write(tmp_path, "t10k", PIXELS, LABELS + 1)
    with pytest.raises(DataError, match="test row 2 has label 3, but the train labels are 0 to 2"):
        read_idx(tmp_path, AS_FOUND)
    write(tmp_path, "t10k", PIXELS[:, 1:])
    with pytest.raises(DataError, match="test pictures are"):
        read_idx(tmp_path, AS_FOUND)
