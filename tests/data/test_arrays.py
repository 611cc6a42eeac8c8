from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch.utils.data import Dataset, IterableDataset

from limbeck.data.arrays import from_arrays, from_datasets
from limbeck.data.contents import ReadOptions
from limbeck.errors import DataError

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(6, 4))
Y = np.array([0, 1, 2, 0, 1, -1])


def test_numpy_tensors_and_lists_are_alike() -> None:
    kinds: list[Any] = [(X, Y), (torch.from_numpy(X), torch.from_numpy(Y)), (X.tolist(), Y.tolist())]
    kinds.append((list(torch.from_numpy(X)), Y))
    sources = [from_arrays(kind) for kind in kinds]
    assert len({source.train.fingerprint for source in sources}) == 1
    assert sources[0].classes == ("0", "1", "2")
    assert sources[0].train.inputs.dtype == torch.float32
    np.testing.assert_allclose(sources[0].train.inputs.numpy(), X, rtol=1e-6)
    assert sources[0].reading is None


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((2, 5, 4), (1, 5, 4)),
        ((2, 5, 4, 3), (3, 5, 4)),
        ((2, 5, 4, 1), (1, 5, 4)),
        ((2, 5, 4, 4), (4, 5, 4)),
        ((2, 3, 5, 4), (3, 5, 4)),
        ((2, 1, 5, 4), (1, 5, 4)),
        ((2, 3, 5, 3), (3, 5, 3)),  # either way possible, so taken as it is
        ((2, 7, 5, 6), (7, 5, 6)),
    ],
)
def test_uint8_pictures_have_channels_first(shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    pixels = RANDOM.integers(0, 256, shape, dtype=np.uint8)
    source = from_arrays((pixels, [0, 1]))
    assert source.train.inputs.dtype == torch.uint8
    assert source.train.shape == expected
    if shape[1:] != expected and len(shape) == 4:
        np.testing.assert_array_equal(source.train.inputs.numpy(), pixels.transpose(0, 3, 1, 2))
    channels = {1: "grey", 3: "rgb"}.get(expected[0])
    reading = ReadOptions(size=expected[1:], channels=channels) if channels else None  # type: ignore[arg-type]
    assert source.reading == reading


def test_other_inputs_become_float32() -> None:
    for values in (
        RANDOM.integers(0, 9, (2, 5)),
        np.ones((2, 5), dtype=bool),
        np.ones((2, 5), dtype=np.uint8),
    ):
        assert from_arrays((values, [0, 1])).train.inputs.dtype == torch.float32
    assert from_arrays(([1.0, 2.0], [0, 1])).train.shape == (1,)
    assert from_arrays((torch.ones(2, 3, dtype=torch.bfloat16), [0, 1])).train.shape == (3,)
    assert from_arrays((torch.rand(2, 3, 5, 5), [0, 1])).train.kind == "image"


def test_arrays_are_copied() -> None:
    mine, labels = X.astype(np.float32), Y.copy()
    source = from_arrays((mine, labels))
    before = source.train.inputs.clone()
    mine[:] = 0
    labels[:] = 0
    assert torch.equal(source.train.inputs, before)
    assert source.train.labels.tolist() == Y.tolist()


@given(rows=st.lists(st.integers(0, 3), min_size=1, max_size=20))
@settings(max_examples=30)
def test_ids_are_content_hashes_with_numbered_repeats(rows: list[int]) -> None:
    ids = from_arrays((X[rows], [0] * len(rows))).train.ids
    assert len(set(ids)) == len(rows)
    assert len({name[:16] for name in ids}) == len(set(rows))
    for place, name in enumerate(ids):
        again = rows[:place].count(rows[place])
        assert name[16:] == (f"#{again + 1}" if again else "")


def test_test_and_unlabelled_ids_differ_from_those_of_train() -> None:
    source = from_arrays((X, Y), (X[:3], Y[:3]), X[2:4], ["a", "b", "c"])
    assert source.test is not None
    assert source.unlabelled is not None
    names = [*source.train.ids, *source.test.ids, *source.unlabelled.ids]
    assert len(set(names)) == len(names) == 11
    assert source.unlabelled.labels.tolist() == [-1, -1]
    assert source.classes == ("a", "b", "c")


BAD = X.copy()
BAD[3, 1] = np.nan
BAD[5, 0] = np.inf


@pytest.mark.parametrize(
    ("x", "y", "sentence"),
    [
        (BAD, Y, r"train row 3 has a value that is NaN, infinite .*2 such rows"),
        (X * 1e300, Y, "train row 0 .* too large for float32"),
        (X, Y[:5], "6 inputs but 5 labels"),
        (X[:0], Y[:0], "train inputs are empty"),
        (X, Y - 1, "train row 5 has label -2"),
        (X, Y + 0.5, "whole numbers"),
        (X, np.eye(6), r"whole numbers .* float64 \[6, 6\]"),
        (X, list("abcabc"), "whole numbers"),
        ([[1, 2], [3]], [0, 1], "train: samples must all have one shape"),
        ([torch.rand(2), torch.rand(3)], [0, 1], "train: samples must all have one shape"),
        ([["a"], ["b"]], [0, 1], "inputs must be numbers"),
    ],
)
def test_bad_arrays_are_a_sentence(x: Any, y: Any, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        from_arrays((x, y))


def test_parts_that_do_not_fit_are_a_sentence() -> None:
    with pytest.raises(DataError, match="test row 1 has label 3, but labels go from 0 to 2"):
        from_arrays((X, Y), (X[:2], [0, 3]))
    with pytest.raises(DataError, match="train row 2 has label 2, but labels go from 0 to 1"):
        from_arrays((X, Y), classes=["a", "b"])
    with pytest.raises(DataError, match=r"test samples must be like the train samples, \[4\].*\[3\]"):
        from_arrays((X, Y), (X[:, :3], Y))
    with pytest.raises(DataError, match="unlabelled samples must be like"):
        from_arrays((X, Y), unlabelled=np.zeros((2, 4, 4), dtype=np.uint8))
    with pytest.raises(DataError, match="unlabelled row 3 has a value that is NaN"):
        from_arrays((X, Y), unlabelled=BAD)
    with pytest.raises(DataError, match=r"must be \(inputs, labels\), but it is ndarray"):
        from_arrays(X)  # type: ignore[arg-type]


class Items(Dataset[Any]):
    """A data set that counts how often it is read."""

    def __init__(self, *items: Any) -> None:
        self.items = items
        self.reads = 0

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, row: int) -> Any:
        self.reads += 1
        return self.items[row]


def test_datasets_of_tensors_arrays_and_pictures() -> None:
    vectors = Items(*((torch.from_numpy(x), int(y)) for x, y in zip(X, Y, strict=True)))
    source = from_datasets(vectors, unlabelled=Items(X[0], (X[1], "ignored")))
    assert vectors.reads == 6
    assert source.name == "datasets"
    assert source.train.fingerprint == from_arrays((X, Y)).train.fingerprint
    assert source.unlabelled is not None
    assert len(source.unlabelled) == 2
    pixels = RANDOM.integers(0, 256, (4, 5, 6, 3), dtype=np.uint8)
    pictures = Items(*((Image.fromarray(x), torch.tensor(row % 2)) for row, x in enumerate(pixels)))
    np.testing.assert_array_equal(from_datasets(pictures).train.inputs.numpy(), pixels.transpose(0, 3, 1, 2))
    grey = Items(*((Image.fromarray(x[:, :, 0]), row % 2) for row, x in enumerate(pixels)))
    np.testing.assert_array_equal(from_datasets(grey, grey).train.inputs[:, 0].numpy(), pixels[..., 0])


@pytest.mark.parametrize(
    ("items", "sentence"),
    [
        (Items(), "the data set is empty"),
        (Items(X[0]), r"train row 0: \(input, label\) was expected, but the item is ndarray"),
        (Items((X[0], 0), (X[1], 1, 2)), "train row 1: .* the item is tuple of length 3"),
        (Items((X[0], 0), (X[1, :2], 1)), r"train row 1 has shape \[2\], but row 0 has \[4\]"),
        (Items((X[0], 0.5)), "train row 0: the label must be a whole number, but it is float"),
        (Items(("text", 0)), "train row 0: a picture, tensor or array was expected, but it is str"),
    ],
)
def test_bad_datasets_are_a_sentence(items: Items, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        from_datasets(items)


def test_a_stream_is_refused() -> None:
    class Stream(IterableDataset[Any]):
        def __iter__(self) -> Any:
            return iter(())

    with pytest.raises(DataError, match="map-style"):
        from_datasets(Stream())
