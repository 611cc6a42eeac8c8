"""Labels that are values or several at once: read, split, standardised, withheld."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_diabetes

import limbeck
from limbeck.data.contents import ReadOptions
from limbeck.data.scaling import Scaling, fit_scaling
from limbeck.data.split import split
from limbeck.data.strata import strata_of
from limbeck.errors import DataError
from limbeck.types import known

NAN = float("nan")
VALUES = ReadOptions(task="regression")


def arrays(task: str, count: int = 60, columns: int = 3) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    x = random.normal(size=(count, 4)).astype(np.float32)
    y = x @ random.normal(size=(4, columns))
    return x, (y > 0).astype(int) if task == "multi_label" else 10 * y + 100


def test_which_rows_are_known() -> None:
    assert known(torch.tensor([0, -1, 3])).tolist() == [True, False, True]
    assert known(torch.tensor([[1.0, 2.0], [NAN, NAN]])).tolist() == [True, False]


def test_diabetes_is_scikit_learns() -> None:
    data = limbeck.Data.open("diabetes", options=VALUES)
    assert data.classes == ("progression",) and data.shape == (10,) and data.task == "regression"
    truth = np.concatenate([data.pool.labels.numpy(), data.test.labels.numpy()])
    assert sorted(truth[:, 0].tolist()) == sorted(load_diabetes().target.tolist())
    rows = [int(name.partition("/")[2]) for name in data.test.ids]
    np.testing.assert_allclose(data.test.inputs.numpy(), load_diabetes(scaled=False).data[rows], rtol=1e-6)
    with pytest.raises(DataError, match="set data.task: regression"):
        limbeck.Data.open("diabetes")


def test_values_are_standardised_by_the_training_rows_alone() -> None:
    x, y = arrays("regression")
    y[7] = NAN
    data = limbeck.Data.from_arrays((x, y), task="regression")
    labels, train = data.visible_labels(None, 0), data.train
    there = known(labels[train])
    np.testing.assert_allclose(labels[train][there].mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(labels[train][there].std(0, correction=0), 1, atol=1e-5)
    assert int((~there).sum()) == 1 and data.scaling is not None
    np.testing.assert_allclose(data.scaling.restored(labels.numpy()), data.pool.labels.numpy(), rtol=1e-5)
    assert float(data.test.labels.mean()) == pytest.approx(100, abs=15), "in the user's own units"
    assert Scaling.from_json(data.scaling.as_json()) == data.scaling


def test_a_target_that_never_varies() -> None:
    with pytest.raises(DataError, match='The target "rent" is 3 in every labelled training sample'):
        fit_scaling(torch.tensor([[1.0, 3.0], [2.0, 3.0], [NAN, NAN]]), ("price", "rent"))


@pytest.mark.parametrize(
    ("task", "labels", "told"),
    [
        ("regression", [[1.0, NAN]] * 60, r"train row 0: nan stands beside others that are known"),
        ("regression", [float("inf")] * 60, "train row 0: inf is no label for regression"),
        ("regression", ["a"] * 60, "labels for regression must be numbers"),
        ("multi_label", [0, 1] * 30, r"labels for multi_label must be 0 or 1 \[N, C\]"),
        ("multi_label", [[0, 2]] * 60, "train row 0: 2 is no label for multi_label: 0 or 1"),
        ("multi_label", [[0, -1]] * 60, "stands beside others that are known"),
        ("multi_label", [[0, 1]] * 60, "each label needs 3 labelled training samples with it and 3 without it"),
        ("regression", [[1.0]] * 2 + [[NAN]] * 58, "6 labelled training samples are needed at least"),
    ],
)
def test_labels_that_are_none(task: str, labels: list[object], told: str) -> None:
    with pytest.raises(DataError, match=told):
        limbeck.Data.from_arrays((arrays("regression")[0], labels), task=task)  # type: ignore[arg-type]


def test_labels_of_the_parts_must_be_alike() -> None:
    x, y = arrays("multi_label")
    with pytest.raises(DataError, match="test has 2 labels for each sample, but train has 3"):
        limbeck.Data.from_arrays((x, y), (x + 1, y[:, :2]), task="multi_label")
    with pytest.raises(DataError, match="classes names 2 columns of labels, but there are 3"):
        limbeck.Data.from_arrays((x, y), classes=("a", "b"), task="multi_label")
    with pytest.raises(DataError, match="Every|every test sample needs one"):
        limbeck.Data.from_arrays((x, y), (x + 1, np.full_like(y, -1)), task="multi_label")


def test_unlabelled_samples_have_no_labels() -> None:
    x, y = arrays("multi_label")
    data = limbeck.Data.from_arrays((x, y), unlabelled=x + 5, task="multi_label")
    labels = data.visible_labels(None, 0)
    assert labels.shape == (len(data.pool), 3) and int((~known(labels)).sum()) == 60
    with pytest.raises(DataError, match="labels_per_class is for classification"):
        data.visible_labels(3, 0)


def test_the_task_is_a_part_of_the_fingerprint() -> None:
    x, y = arrays("multi_label")
    several, values = (limbeck.Data.from_arrays((x, y), task=task) for task in ("multi_label", "regression"))  # type: ignore[arg-type]
    assert several.fingerprint != values.fingerprint
    assert "3 labels" in repr(several) and "3 targets" in repr(values)


def test_values_are_split_by_their_size() -> None:
    values = np.random.default_rng(1).normal(size=(200, 1)) ** 3
    rest, held = split(strata_of(values), [str(row) for row in range(200)], fraction=0.2, seed=0)
    assert len(held) == 40 and not set(rest.tolist()) & set(held.tolist())
    counts = np.bincount(
        np.searchsorted(np.quantile(values[:, 0], np.arange(1, 10) / 10), values[held, 0]), minlength=10
    )
    assert counts.tolist() == [4] * 10


def test_a_rare_label_is_in_both_parts() -> None:
    random = np.random.default_rng(2)
    labels = (random.random((300, 4)) < [0.5, 0.5, 0.3, 0.0]).astype(float)
    labels[:6, 3] = 1
    for seed in range(10):
        rest, held = split(strata_of(labels), [str(row) for row in range(300)], fraction=0.2, seed=seed)
        assert labels[held, 3].sum() == 1 and labels[rest, 3].sum() == 5


def test_strata_of_what_is_withheld_and_of_what_is_alone() -> None:
    assert strata_of(np.array([2, -1, 0])).tolist() == [2, -1, 0]
    assert strata_of(np.array([[1.0, 0.0], [NAN, NAN], [0.0, 1.0], [0.0, 1.0]])).tolist() == [1, -1, 1, 1]
    assert strata_of(np.full((2, 1), NAN)).tolist() == [-1, -1]


def test_arrays_in_a_file(tmp_path: Path) -> None:
    x, y = arrays("multi_label")
    np.savez(tmp_path / "a.npz", x_train=x, y_train=y, x_test=x[:9] + 1, y_test=y[:9], x_val=x[:9] + 2, y_val=y[:9])
    data = limbeck.Data.open(f"npz:{tmp_path / 'a.npz'}", options=ReadOptions(task="multi_label"))
    assert data.classes == ("0", "1", "2") and len(data.validation) == len(data.test) == 9
    assert data.pool.labels.dtype == torch.float32
    with pytest.raises(DataError, match="set data.task: multi_label or regression"):
        limbeck.Data.open(f"npz:{tmp_path / 'a.npz'}")
    with pytest.raises(DataError, match="reads labels from csv:PATH, npz:FILE or diabetes"):
        limbeck.Data.open("digits", options=VALUES)


def table(path: Path, rows: list[str]) -> str:
    path.write_text("\n".join(["size,floor,price,rent", *rows]) + "\n")
    return f"csv:{path}"


def homes(count: int = 40) -> list[str]:
    random = np.random.default_rng(3)
    return [
        f"{random.normal(80, 20):.1f},{random.integers(9)},{random.normal(3e5, 5e4):.0f},{random.normal(9e2, 90):.1f}"
        for _ in range(count)
    ]


def test_one_column_or_several_of_a_table(tmp_path: Path) -> None:
    rows = homes()
    rows[4] = "70,2,,"
    source = table(tmp_path / "t.csv", rows)
    both = limbeck.Data.open(source, options=ReadOptions(task="regression", label=("price", "rent")))
    assert both.classes == ("price", "rent") and both.preprocessing is not None
    assert both.preprocessing.columns.names == ("size", "floor") and both.preprocessing.label == ("price", "rent")
    assert int((~known(both.pool.labels)).sum()) == 1, "a row without values has none"
    one = limbeck.Data.open(source, options=ReadOptions(task="regression", label="rent"))
    assert one.classes == ("rent",) and "price" in one.preprocessing.columns.names  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("label", "task", "cell", "told"),
    [
        (("price", "rent"), "regression", "70,2,3,", "row 6 .the header is row 1.: nan stands beside others"),
        (
            "rent",
            "regression",
            "70,2,3,cheap",
            'row 6 .*column "rent": a number was expected for regression, but it is',
        ),
        (("price", "x"), "regression", "70,2,3,4", 'no column "x"'),
        (("rent", "rent"), "regression", "70,2,3,4", "names a column twice"),
        (None, "multi_label", "70,2,3,4", "name the columns of 0 and 1 that are the labels in data.label"),
        (("price", "rent"), "classification", "70,2,3,4", "names several columns, but a class stands in one"),
        ("rent", "classification", "70,2,3,4", "set data.task: regression to predict numbers"),
        (("price", "rent"), "multi_label", "70,2,3,4", "is no label for multi_label: 0 or 1"),
    ],
)
def test_columns_that_hold_no_labels(
    tmp_path: Path, label: str | tuple[str, ...] | None, task: str, cell: str, told: str
) -> None:
    rows = homes()
    rows[4] = cell
    with pytest.raises(DataError, match=told):
        limbeck.Data.open(table(tmp_path / "t.csv", rows), options=ReadOptions(task=task, label=label))  # type: ignore[arg-type]
