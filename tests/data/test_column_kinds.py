from __future__ import annotations

from pathlib import Path

import pytest

from limbeck.data.column_kinds import label_column, recognise
from limbeck.data.csv_file import TextColumns, read_text
from limbeck.data.table import Columns
from limbeck.errors import DataError


def text_of(folder: Path, **columns: list[str]) -> TextColumns:
    rows = [list(columns), *zip(*columns.values(), strict=True)]
    (folder / "t.csv").write_text("\n".join(";".join(row) for row in rows) + "\n")
    return read_text(folder / "t.csv")


def many(*cells: str) -> list[str]:
    return list(cells) * 4


def test_numbers_and_categories_are_told_apart(tmp_path: Path) -> None:
    text = text_of(
        tmp_path,
        age=many("1", "2.5", "", "-3e2"),
        city=many("Rome", "", "Oslo", "Rome"),
        ok=many("true", "false", "true", "?"),
        zip=many("10", "20", "10", "30"),
        secret=many("1", "2", "2", "1"),
        label=many("a", "b", "a", "b"),
    )
    columns, notes = recognise(text, "label", drop=["secret"], categorical=["zip"])
    assert columns == Columns(("age",), ("city", "ok", "zip"))
    assert notes == ()


@pytest.mark.parametrize("name", ["label", "Target", "CLASS", "y"])
def test_the_class_column_has_one_of_four_names(tmp_path: Path, name: str) -> None:
    assert label_column(text_of(tmp_path, x=["1"], **{name: ["a"]}), None) == name


def test_the_class_column_is_named_where_there_is_doubt(tmp_path: Path) -> None:
    text = text_of(tmp_path, y=["1"], x=["1"], Class=["a"])
    assert label_column(text, "x") == "x"
    with pytest.raises(
        DataError,
        match=r"y, Class could each be the class column; name it by --label or data\.label, one of y, x, Clas",
    ):
        label_column(text, None)
    with pytest.raises(
        DataError,
        match=r"no column is called label, target, class or y; name it by --label or data\.label, one of a, b",
    ):
        label_column(text_of(tmp_path, a=["1"], b=["2"]), None)
    with pytest.raises(DataError, match=r'no column "z"; there are y, x, Class'):
        label_column(text, "z")


@pytest.mark.parametrize(
    ("cells", "says"),
    [
        (many("", "NA", "?", ""), '"x" was left out: it has no value at all'),
        (many("2020-01-05", "2020-1-6", "", "2021-03-04 10:00"), '"x" was left out: it holds dates; turn them into'),
        (many("1.2.2020", "24/12/99", "", "3.4.2021"), '"x" was left out: it holds dates'),
        ([str(row) for row in range(16)], '"x" was left out: it counts the rows'),
        (many("1000000001", "1000000002", "1000000003", "7"), 'column "x" has numbers that 32 bits (7 digits) cannot'),
    ],
)
def test_columns_that_deserve_a_note(tmp_path: Path, cells: list[str], says: str) -> None:
    text = text_of(tmp_path, x=cells, other=many("1", "2", "4", "3"), label=many("a", "b", "a", "b"))
    columns, notes = recognise(text, "label")
    assert len(notes) == 1
    assert says in notes[0]
    assert ("x" in columns.names) == ("32 bits" in says)
    forced, none = recognise(text, "label", categorical=["x"])
    assert (forced.categories, none) == (("x",), ())


def test_an_index_without_a_name_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(",x,y\n5,1,a\n3,2,b\n")
    columns, notes = recognise(read_text(tmp_path / "t.csv"), "y")
    assert columns.names == ("x",)
    assert notes == ('The column "" was left out: it has no name, as an index has none.',)


@pytest.mark.parametrize(
    ("cells", "says"),
    [
        (
            many("1", "2", "three", "4"),
            'row 4 (the header is row 1), column "x": "three" is not a number, but 12 of the ',
        ),
        (many("1,5", "2,25", "", "3"), '"1,5" looks like a number with a comma; write a point before decimals'),
        (many("1.234,5", "2,25", "", "1,000,000.5"), '"1.234,5" looks like a number with a comma'),
    ],
)
def test_numbers_in_another_form_are_refused(tmp_path: Path, cells: list[str], says: str) -> None:
    text = text_of(tmp_path, x=cells, label=many("a", "b", "a", "b"))
    with pytest.raises(DataError) as caught:
        recognise(text, "label")
    assert says in str(caught.value)
    assert str(caught.value).endswith("name the column in data.categorical.")
    assert recognise(text, "label", categorical=["x"])[0].categories == ("x",)


def test_columns_that_are_not_there_and_the_class_column_itself(tmp_path: Path) -> None:
    text = text_of(tmp_path, x=["1"], label=["a"])
    for named in ({"drop": ["z"]}, {"categorical": ["z"]}):
        with pytest.raises(DataError, match='no column "z"; there are x, label'):
            recognise(text, "label", **named)
    with pytest.raises(DataError, match='"label" is the class column'):
        recognise(text, "label", drop=["label"])
    with pytest.raises(DataError, match='no column to learn from beside the class column "label"'):
        recognise(text, "label", drop=["x"])
