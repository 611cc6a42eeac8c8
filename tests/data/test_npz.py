from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limbeck.data.contents import ReadOptions
from limbeck.data.dataset import Data
from limbeck.errors import DataError

draw = np.random.default_rng(0)


def pictures(count: int) -> np.ndarray:
    return draw.integers(0, 256, (count, 6, 5, 3), dtype=np.uint8)


def labels(count: int) -> np.ndarray:
    return np.arange(count) % 3


def save(folder: Path, **arrays: Any) -> Path:
    np.savez(folder / "a.npz", **arrays)
    return folder / "a.npz"


def test_a_training_and_a_test_part(tmp_path: Path) -> None:
    train, test = draw.normal(size=(30, 4)), draw.normal(size=(6, 4))
    path = save(tmp_path, x_train=train, y_train=labels(30), x_test=test, y_test=labels(6))
    data = Data.open(f"npz:{path}")
    assert data.classes == ("0", "1", "2")
    assert data.source == f"npz:{path}"
    np.testing.assert_array_equal(data.test.inputs.numpy(), test.astype(np.float32))
    assert (len(data.pool), len(data.validation)) == (30, 3)


def test_one_part_is_split(tmp_path: Path) -> None:
    data = Data.open(f"npz:{save(tmp_path, x=draw.normal(size=(40, 2)), y=labels(40))}")
    assert (len(data.test), len(data.pool)) == (9, 31)  # three of each class


def test_medmnist_with_its_own_validation_part(tmp_path: Path) -> None:
    parts = {"train": pictures(30), "val": pictures(9), "test": pictures(12)}
    parts["val"][0] = parts["train"][0]  # the same picture in two parts
    arrays = {f"{name}_images": part for name, part in parts.items()}
    arrays |= {f"{name}_labels": labels(len(part))[:, None] for name, part in parts.items()}
    data = Data.open(f"npz:{save(tmp_path, **arrays)}")
    assert (data.kind, data.shape) == ("image", (3, 6, 5))
    assert (len(data.train), len(data.validation), len(data.test)) == (30, 9, 12)
    np.testing.assert_array_equal(data.pool.inputs[data.validation].numpy(), parts["val"].transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(data.pool.labels[data.validation].numpy(), labels(9))
    assert data.notes == ("The file's own 9 validation samples validate; data.validation is not used.",)
    kept = Data.open(f"npz:{tmp_path / 'a.npz'}", classes=["2", "0"])
    assert (len(kept.validation), kept.pool.labels[kept.validation].tolist()) == (6, [1, 0] * 3)


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"a": np.zeros((2, 3))}, "expected arrays called x_train and y_train, x and y, or train_images"),
        ({"a": np.zeros((2, 3))}, "there are a [2, 3]"),
        ({"x": np.zeros((2, 3)), "y": labels(2), "x_test": np.zeros((2, 3))}, "x_test needs y_test beside it"),
        ({"x": np.zeros((2, 3)), "y": np.zeros((2, 14))}, "y has 14 columns; one class number for each sample"),
        ({"x": np.zeros((2, 3)), "y": labels(3)}, "train has 2 inputs but 3 labels"),
        ({"x": np.zeros((2, 3)), "y": np.array([0.5, 1])}, "train labels must be whole numbers"),
        ({"x": np.array([[1, np.inf]]), "y": labels(1)}, "train row 0 has a value that is NaN"),
        ({"x": np.array([{}, {}], dtype=object), "y": labels(2)}, "it holds Python objects, which are not loaded"),
    ],
)
def test_what_does_not_fit(tmp_path: Path, arrays: dict[str, np.ndarray], says: str) -> None:
    path = save(tmp_path, **arrays)
    with pytest.raises(DataError) as caught:
        Data.open(f"npz:{path}")
    assert says in str(caught.value)
    assert str(path) in str(caught.value)


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(DataError, match='there is no file "gone.npz"'):
        Data.open("npz:gone.npz")
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(DataError, match="text.npz"):
        Data.open(f"npz:{tmp_path / 'text.npz'}")
    np.save(tmp_path / "one.npy", np.zeros(3))
    with pytest.raises(DataError, match="a single array; npz: needs a file that np.savez makes"):
        Data.open(f"npz:{tmp_path / 'one.npy'}")
    whole = save(tmp_path, x=np.zeros((20, 3)), y=labels(20)).read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="cut.npz"):
        Data.open(f"npz:{tmp_path / 'cut.npz'}")


def test_pictures_keep_their_size(tmp_path: Path) -> None:
    path = save(tmp_path, x=pictures(30), y=labels(30))
    assert Data.open(f"npz:{path}", options=ReadOptions(size=(6, 5))).shape == (3, 6, 5)
    with pytest.raises(DataError, match="arrays are taken as they are"):
        Data.open(f"npz:{path}", options=ReadOptions(size=8))
