from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from limbeck.data.contents import ReadOptions
from limbeck.data.csv_table import held_out, read_csv
from limbeck.data.dataset import Data
from limbeck.errors import DataError

Row = tuple[object, ...]
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def make(rows: list[Row], name: str = "t.csv", header: str = "age,city,y") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n")
        return path

    return make


def some(count: int, seed: int = 0) -> list[Row]:
    draw = np.random.default_rng(seed)
    return [(f"{draw.normal():.4f}", draw.choice(["Rome", "Oslo", ""]), "ab"[row % 2]) for row in range(count)]


def test_a_file_is_split_by_limbeck(write: Write) -> None:
    path = write(some(50))
    data = Data.open(f"csv:{path}")
    assert (data.kind, data.classes) == ("vector", ("a", "b"))
    assert (len(data.train), len(data.validation), len(data.test)) == (36, 4, 10)
    assert data.preprocessing is not None
    assert data.preprocessing.columns.names == ("age", "city")
    assert data.shape == (4,)
    assert all(name.startswith("train/") for name in (*data.pool.ids, *data.test.ids))
    assert data.pool.raw is not None and data.test.raw is not None
    np.testing.assert_array_equal(data.pool.inputs.numpy(), data.preprocessing(data.pool.raw))
    np.testing.assert_array_equal(data.test.inputs.numpy(), data.preprocessing(data.test.raw))
    again = Data.open(f"csv:{path}")
    assert again.fingerprint == data.fingerprint


def test_only_training_rows_are_learned_from(write: Write) -> None:
    data = Data.open(f"csv:{write(some(60))}")
    assert data.preprocessing is not None and data.pool.raw is not None
    ages = data.pool.raw.numbers[:, 0].astype(np.float64)
    train = ages[data.train]
    assert data.preprocessing.numbers[0].mean == pytest.approx(train.mean(), abs=1e-12)
    assert data.preprocessing.numbers[0].mean != pytest.approx(ages.mean(), abs=1e-6)
    assert data.preprocessing.numbers[0].scale == pytest.approx(train.std(), abs=1e-12)
    assert data.preprocessing.numbers[0].median == np.median(train)


def test_whatever_stands_in_the_test_file_changes_nothing(write: Write) -> None:
    folder = write(some(60), "d/train.csv").parent
    learned = []
    for rows in ([(9e9, "Quito", "a"), ("", "", "b")], [(-3, "Rome", "a"), (4, "Paris", "b")]):
        write(rows, "d/test.csv")
        data = Data.open(f"csv:{folder}")
        learned.append((data.preprocessing, data.pool.fingerprint))
    assert learned[0] == learned[1]


def test_a_folder_has_its_own_test_rows(write: Write) -> None:
    write(some(40), "d/train.csv")
    write([("1", "Quito", "b"), ("", "Rome", "a")], "d/test.csv", "age,city,y")
    path = write([("x",)], "d/other.csv", "z").parent
    data = Data.open(f"csv:{path}")
    assert data.test.labels.tolist() == [1, 0]
    assert data.test.inputs[0, 1:].tolist() == [0, 0, 0]  # an unknown city
    assert "Ignored, being neither train.csv nor test.csv: other.csv." in data.notes
    assert held_out(path) == path / "test.csv"


def test_labels_may_be_missing_and_unlabelled_rows_train(write: Write) -> None:
    rows = some(40)
    rows[3] = (*rows[3][:2], "")
    path = write(rows)
    more = write([("5", "Rome"), ("", "Oslo")], "more.csv", "age,city")
    data = Data.open(f"csv:{path}", unlabelled=f"csv:{more}")
    assert int((data.pool.labels[data.train] < 0).sum()) == 3
    assert sum(name.startswith("unlabelled/") for name in data.pool.ids) == 2
    assert data.preprocessing is not None
    own = Data.open(f"csv:{path}").preprocessing
    assert own is not None
    assert own.numbers != data.preprocessing.numbers  # they are training rows too


@pytest.mark.parametrize(
    ("cells", "classes", "labels"),
    [
        (["10", "9", "10", "9"], ("9", "10"), [1, 0, 1, 0]),
        (["1.0", "0", "1", "0.0"], ("0", "1"), [1, 0, 1, 0]),
        (["-1", "+1", "1", "-1.0"], ("-1", "1"), [0, 1, 1, 0]),
        (["no", "10", "no", "10"], ("10", "no"), [1, 0, 1, 0]),
        (["true", " false", "true", "false"], ("false", "true"), [1, 0, 1, 0]),
    ],
)
def test_class_names(write: Write, cells: list[str], classes: tuple[str, ...], labels: list[int]) -> None:
    source = read_csv(write([(row, "x", cell) for row, cell in zip((3, 5, 4, 7), cells, strict=True)]), ReadOptions())
    assert source.classes == classes
    assert source.train.labels.tolist() == labels


def test_the_test_file_may_not_have_another_class(write: Write) -> None:
    write(some(20), "d/train.csv")
    path = write([("1", "Rome", "a"), ("1", "Rome", "c")], "d/test.csv")
    with pytest.raises(DataError) as caught:
        Data.open(f"csv:{path.parent}")
    assert str(caught.value) == (
        f'{path}, row 3 (the header is row 1), column "y": "c" is not one of the classes a; b.'
    )


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([("1", "x", "")] * 4, 'the class column "y" is empty'),
        (
            [(row, "x", row / 7 + 0.1) for row in (4, 2, 3)],
            'the class column "y" holds 3 different numbers in 3 rows, which are no classes; name another column in',
        ),
        ([(row, "x", f"t{row}") for row in (4, 2, 3)], "holds 3 different texts in 3 rows"),
    ],
)
def test_columns_that_are_no_classes(write: Write, rows: list[Row], says: str) -> None:
    with pytest.raises(DataError) as caught:
        read_csv(write(rows), ReadOptions())
    assert says in str(caught.value)


def test_options_choose_the_columns(write: Write) -> None:
    path = write([(row % 3, "x", "ab"[row % 2], row % 4) for row in range(60)], header="zip,city,kind,age")
    options = ReadOptions(label="kind", drop=("city",), categorical=("zip",))
    data = Data.open(f"csv:{path}", options=options)
    assert data.preprocessing is not None
    assert data.preprocessing.columns.numbers == ("age",)
    assert data.preprocessing.columns.categories == ("zip",)
    assert data.preprocessing.label == "kind"


def test_a_column_left_out_moves_no_row_to_another_split(write: Write) -> None:
    path = write([(row % 13, row % 7, "ab"[row % 2]) for row in range(60)])
    whole, less = (Data.open(f"csv:{path}", options=ReadOptions(drop=drop)) for drop in ((), ("city",)))
    assert (less.pool.ids, less.test.ids) == (whole.pool.ids, whole.test.ids)
    assert less.shape != whole.shape


def test_some_classes_only(write: Write) -> None:
    path = write([(row % 7, "x", "abc"[row % 3]) for row in range(60)])
    data = Data.open(f"csv:{path}", classes=["c", "a"])
    assert data.classes == ("c", "a")
    assert len(data.pool) + len(data.test) == 40
    assert data.pool.raw is not None
    assert len(data.pool.raw) == len(data.pool)


@pytest.mark.parametrize(
    ("source", "options", "says"),
    [
        ("csv:gone.csv", {}, 'there is no file or folder "gone.csv"'),
        ("csv:.", {}, 'a file named "train.csv" is needed in this folder'),
        ("digits", {"label": "y"}, 'data.label is for tables, csv:PATH, but data.source is "digits"'),
        ("digits", {"drop": ("y",)}, "data.drop is for tables"),
        ("csv:t.csv", {"size": 8}, "data.size is for pictures, but data.source is a table"),
        ("t.csv", {}, 'write "csv:t.csv"'),
        ("d", {}, 'write "csv:d"'),
        ("cvs:t.csv", {}, 'Did you mean "csv"?'),
    ],
)
def test_sources_that_do_not_work(
    write: Write, monkeypatch: pytest.MonkeyPatch, source: str, options: dict, says: str
) -> None:
    monkeypatch.chdir(write(some(9)).parent)
    write(some(9), "d/train.csv")
    with pytest.raises(DataError) as caught:
        Data.open(source, options=ReadOptions(**options))
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("source", "unlabelled", "says"),
    [
        ("csv:t.csv", "digits", 'data.unlabelled should be a table too, csv:PATH, but it is "digits"'),
        ("digits", "csv:t.csv", "data.unlabelled should be no table"),
        ("csv:t.csv", "csv:u.csv", 'u.csv: there is no column "city"; there are age'),
    ],
)
def test_unlabelled_samples_of_another_kind(
    write: Write, monkeypatch: pytest.MonkeyPatch, source: str, unlabelled: str, says: str
) -> None:
    monkeypatch.chdir(write(some(20)).parent)
    write([("1",)], "u.csv", "age")
    with pytest.raises(DataError) as caught:
        Data.open(source, unlabelled=unlabelled)
    assert says in str(caught.value)


def test_samples_on_a_device_keep_their_rows(write: Write) -> None:
    data = Data.open(f"csv:{write(some(20))}")
    assert data.pool.to("cpu").raw is data.pool.raw
    assert data.pool.inputs.dtype == torch.float32
