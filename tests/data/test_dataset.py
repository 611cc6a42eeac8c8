from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.data.contents import ReadOptions
from limbeck.data.dataset import Data
from limbeck.errors import DataError

Make = Callable[..., Path]
DIGITS = Data.open("digits")


def arrays(count: int = 60, classes: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    return np.random.default_rng(seed).normal(size=(count, 4)), np.arange(count) % classes


def test_digits_are_split_in_three() -> None:
    assert (DIGITS.kind, DIGITS.shape, DIGITS.source) == ("image", (1, 8, 8), "digits")
    assert len(DIGITS.pool) + len(DIGITS.test) == 1797
    assert len(DIGITS.test) == pytest.approx(1797 * 0.2, abs=5)
    assert sorted([*DIGITS.train.tolist(), *DIGITS.validation.tolist()]) == list(range(len(DIGITS.pool)))
    assert len(DIGITS.validation) == pytest.approx(len(DIGITS.pool) * 0.1, abs=5)
    assert DIGITS.train.dtype == DIGITS.validation.dtype == torch.int64
    shares = torch.bincount(DIGITS.test.labels) / torch.bincount(DIGITS.pool.labels)
    assert float(shares.min()) > 0.24
    assert float(shares.max()) < 0.26


def test_repr_is_one_line() -> None:
    x, y = arrays()
    data = Data.from_arrays((x, y), (x[:10] + 1, y[:10]), validation=0.1)
    assert repr(data) == (
        f"Data({data.source}: vector [4], 3 classes, {len(data.train)} training, {len(data.validation)} validation "
        "and 10 test samples)"
    )
    assert repr(DIGITS).startswith("Data(digits: image [1, 8, 8], 10 classes, 1")


def test_test_ids_are_disjoint_from_all_that_trains() -> None:
    assert not set(DIGITS.test.ids) & set(DIGITS.pool.ids)
    x, y = arrays()
    data = Data.from_arrays((x, y), (x[:10], y[:10]), x[:5])
    assert not set(data.test.ids) & set(data.pool.ids)
    assert len(data.pool) == 65


def test_only_split_seed_moves_the_split() -> None:
    again, other = Data.open("digits"), Data.open("digits", split_seed=1)
    assert again.fingerprint == DIGITS.fingerprint
    assert again.test.ids == DIGITS.test.ids
    assert other.test.ids != DIGITS.test.ids
    for seed in (0, 1, 2):
        again.visible_labels(10, seed)
    assert again.fingerprint == DIGITS.fingerprint


def test_a_split_of_its_own_is_kept() -> None:
    x, y = arrays()
    test = arrays(20, seed=1)
    data = Data.from_arrays((x, y), test, validation=0.5)
    np.testing.assert_allclose(data.test.inputs.numpy(), test[0], rtol=1e-6)
    assert len(data.train) == len(data.validation) == 30


def test_the_split_does_not_depend_on_the_order_of_rows() -> None:
    x, y = arrays()
    order = np.random.default_rng(3).permutation(60)
    first, second = Data.from_arrays((x, y)), Data.from_arrays((x[order], y[order]))
    assert set(first.test.ids) == set(second.test.ids)
    for one, two in ((first.train, second.train), (first.validation, second.validation)):
        assert {first.pool.ids[row] for row in one} == {second.pool.ids[row] for row in two}


def test_identical_test_samples_are_noted() -> None:
    x, y = arrays()
    data = Data.from_arrays((x, y), (np.concatenate([x[:3], x[40:] + 1]), y[:23]))
    assert data.notes == ("3 of 23 test samples are identical to a training or validation sample.",)
    assert Data.from_arrays((x, y)).notes == ()


def test_unlabelled_samples_train_and_never_validate() -> None:
    x, y = arrays()
    y[::10] = -1
    data = Data.from_arrays((x, y), arrays(9, seed=1), arrays(7, seed=2)[0])
    assert set(range(60, 67)) <= set(data.train.tolist())
    assert (data.pool.labels[data.validation] >= 0).all()
    assert int((data.pool.labels[data.train] < 0).sum()) == 6 + 7


@given(k=st.integers(1, 17), seed=st.integers(0, 50))
@settings(max_examples=40)
def test_k_labels_of_each_class_stay_visible(k: int, seed: int) -> None:
    visible = DIGITS.visible_labels(k, seed)
    shown = visible >= 0
    assert torch.equal(visible[shown], DIGITS.pool.labels[shown])
    assert torch.bincount(visible[shown], minlength=10).tolist() == [k] * 10
    in_validation = visible[DIGITS.validation]
    expected = max(1, round(0.1 * k)) if k >= 5 else 0
    assert torch.bincount(in_validation[in_validation >= 0], minlength=10).tolist() == [expected] * 10
    assert torch.equal(visible, DIGITS.visible_labels(k, seed))


def test_the_draw_of_labels_follows_the_seed() -> None:
    first, second = (set((DIGITS.visible_labels(10, seed) >= 0).nonzero().flatten().tolist()) for seed in (0, 1))
    assert len(first & second) < 30
    assert torch.equal(DIGITS.visible_labels(None, 0), DIGITS.pool.labels)


def test_all_labels_of_a_class_may_be_asked_for_but_not_more() -> None:
    x, y = arrays(30)
    data = Data.from_arrays((x, y), arrays(9, seed=1))
    assert torch.equal(data.visible_labels(10, 0), data.pool.labels)
    with pytest.raises(DataError, match='is 11, but class "0" has 10 labelled samples'):
        data.visible_labels(11, 0)
    with pytest.raises(DataError, match="must be 1 or more, but it is 0"):
        data.visible_labels(0, 0)


def test_some_classes_in_an_order_of_their_own() -> None:
    data = Data.open("digits", classes=["7", "1"])
    assert data.classes == ("7", "1")
    whole = {
        name: label for part in (DIGITS.pool, DIGITS.test) for name, label in zip(part.ids, part.labels, strict=True)
    }
    for part in (data.pool, data.test):
        for name, label in zip(part.ids, part.labels.tolist(), strict=True):
            assert int(whole[name]) == (7, 1)[label]
    with pytest.raises(DataError, match=r'digits has no class "17". Did you mean "7"'):
        Data.open("digits", classes=["17", "1"])
    with pytest.raises(DataError, match="names a class twice"):
        Data.open("digits", classes=["1", "1"])


def test_unlabelled_pictures_from_another_folder(make_folder: Make) -> None:
    folder = make_folder(*(f"{part}/{name}/{i}.png" for part in ("l", "m") for name in "ab" for i in range(5)))
    make_folder(*(f"flat/{i}.png" for i in range(3)), size=(9, 9))
    flat = Data.open(f"folder:{folder / 'l'}", unlabelled=f"folder:{folder / 'flat'}")
    assert flat.pool.ids[-3:] == ("unlabelled/0.png", "unlabelled/1.png", "unlabelled/2.png")
    assert flat.pool.shape == (1, 6, 4)
    nested = Data.open(f"folder:{folder / 'l'}", unlabelled=f"folder:{folder / 'm'}")
    assert nested.pool.labels.tolist()[-10:] == [-1] * 10
    assert "unlabelled/a/0.png" in nested.pool.ids
    (folder / "flat" / "0.png").write_bytes(b"")
    with pytest.raises(DataError, match="1 picture cannot be read"):
        Data.open(f"folder:{folder / 'l'}", unlabelled=f"folder:{folder / 'flat'}")
    for path in (folder / "flat").iterdir():
        path.write_bytes(b"")
    with pytest.raises(DataError, match=r"no sample of .* can be read"):
        Data.open(
            f"folder:{folder / 'l'}",
            unlabelled=f"folder:{folder / 'flat'}",
            options=ReadOptions(corrupt="skip"),
        )


def test_two_unlabelled_parts_are_joined(make_folder: Make) -> None:
    names = [f"train/{name}/{i}.png" for name in "ab" for i in range(5)]
    folder = make_folder(*names, "unlabelled/0.png")
    data = Data.open(f"folder:{folder}", unlabelled="digits")
    assert len(data.pool) + len(data.test) == 10 + 1 + 1797
    assert data.pool.shape == (1, 6, 4)


def test_small_and_odd_data_are_a_sentence() -> None:
    x, y = arrays(9)
    for labels, sentence in (
        (np.zeros(9, dtype=int), "two classes are needed"),
        (np.array([0, 0, 0, 0, 0, 0, 0, 1, 1]), 'each class needs 3 .* but "1" has 2'),
        (np.array([0, 0, 0, 0, 0, 2, 2, 2, 2]), 'but "1" has 0'),
        (np.full(9, -1), "two classes are needed"),
    ):
        with pytest.raises(DataError, match=sentence):
            Data.from_arrays((x, labels))
    with pytest.raises(DataError, match=r"The test sample .*\(row 1\) has no label"):
        Data.from_arrays((x, y), (x[:2], [0, -1]))
    for fraction in (0.0, 1.0):
        with pytest.raises(DataError, match=r"data.validation is the fraction"):
            Data.from_arrays((x, y), validation=fraction)
        with pytest.raises(DataError, match=r"data.test is the fraction"):
            Data.open("digits", test=fraction)


def test_classes_that_no_test_sample_has_leave_nothing_to_test_on(make_folder: Make) -> None:
    path = make_folder("0.png").parent
    for split, labels in (("train", [0, 1, 2] * 3), ("test", [2, 2])):
        rows = [(path / "photos/0.png").read_bytes()] * len(labels)
        pq.write_table(pa.table({"image": rows, "label": labels}), path / f"{split}.parquet")
    with pytest.raises(DataError, match="test split is empty"):
        Data.open(f"parquet:{path}", classes=["0", "1"])


def test_from_datasets_equals_from_arrays() -> None:
    x, y = arrays()
    pairs = torch.utils.data.TensorDataset(torch.from_numpy(x), torch.from_numpy(y))
    data = Data.from_datasets(pairs, pairs)
    assert data.fingerprint == Data.from_arrays((x, y), (x, y)).fingerprint
    assert data.source == "datasets"


def test_statistics_are_those_of_the_train_rows() -> None:
    x, y = arrays()
    data = Data.from_arrays((x, y))
    rows = data.pool.inputs[data.train].double().numpy()
    mean, std = data.statistics()
    np.testing.assert_allclose(mean.numpy(), rows.mean(0), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(std.numpy(), rows.std(0), rtol=1e-5)
    assert data.statistics()[0] is mean


def test_fingerprint_sees_classes_and_split() -> None:
    x, y = arrays()
    prints = {
        Data.from_arrays((x, y)).fingerprint,
        Data.from_arrays((x, y), classes=["a", "b", "c"]).fingerprint,
        Data.from_arrays((x, y), validation=0.3).fingerprint,
        Data.from_arrays((x, y), split_seed=1).fingerprint,
        Data.from_arrays((x + 1, y)).fingerprint,
    }
    assert len(prints) == 5


def test_real_mnist(real_data: Path) -> None:
    data = Data.open(f"idx:{real_data / 'mnist'}")
    assert len(data.pool) == 60_000
    assert len(data.test) == 10_000
    mean, std = data.statistics()
    assert float(mean) == pytest.approx(0.1307, abs=0.001)
    assert float(std) == pytest.approx(0.3081, abs=0.001)
