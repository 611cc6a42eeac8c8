from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.data.csv_file import read_rows, read_text
from limbeck.data.table import MISSING, Columns, Table, join
from limbeck.errors import DataError

AGE = Columns(("age",), ())
cells = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=6)


def write(folder: Path, text: str, name: str = "t.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8", newline="")
    return path


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("begin", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_the_usual_dialects(tmp_path: Path, separator: str, begin: str, end: str) -> None:
    lines = [["age", ' "my, city" '.strip()], ["1.5", '"Rome; it"'], ["?", "  Oslo "], ["", "NA"]]
    path = write(tmp_path, begin + end.join(separator.join(line) for line in lines) + end + end)
    table = read_rows(path, Columns(("age",), ("my, city",)))
    np.testing.assert_array_equal(table.numbers, np.float32([[1.5], [np.nan], [np.nan]]))
    assert table.categories.tolist() == [["Rome; it"], ["Oslo"], [""]]


@settings(max_examples=60)
@given(rows=st.lists(st.tuples(cells, cells), min_size=1, max_size=5))
def test_reads_what_pythons_own_writer_wrote(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple]) -> None:
    buffer = io.StringIO(newline="")
    csv.writer(buffer, quoting=csv.QUOTE_ALL).writerows([("one", "two"), *rows])
    table = read_rows(write(tmp_path_factory.mktemp("csv"), buffer.getvalue()), Columns((), ("two", "one")))
    wanted = [[("" if cell.strip() in MISSING else cell.strip()) for cell in reversed(row)] for row in rows]
    assert table.categories.tolist() == wanted


@given(values=st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=8))
def test_numbers_come_back_exactly(tmp_path_factory: pytest.TempPathFactory, values: list[float]) -> None:
    path = write(tmp_path_factory.mktemp("csv"), "age\n" + "\n".join(map(repr, values)))
    np.testing.assert_array_equal(read_rows(path, AGE).numbers[:, 0], np.float32(values))


def test_columns_are_found_by_name_and_others_ignored(tmp_path: Path) -> None:
    path = write(tmp_path, "x,city,age\nz,Rome,+1e2\n")
    table = read_rows(path, Columns(("age",), ("city",)))
    assert (table.numbers.tolist(), table.categories.tolist()) == ([[100.0]], [["Rome"]])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "t.csv: the first row is empty; it must name the columns"),
        ("age,x\n", "t.csv: there is no row below the header"),
        ("1,2.5\n3,4\n", 'the first row must name the columns, but it holds numbers: "1,2.5"'),
        ("age,x,age\n1,2,3\n", 'the column "age" is there twice; rename one of them'),
        ("age,x\n1,2\n3\n", "cannot be read as a table: CSV parse error: Row #3: Expected 2 columns, got 1: 3"),
        ("Age,x\n1,2\n", 'there is no column "age"; there are Age, x. Did you mean "Age"?'),
        (
            "age,x\n1,2\nold,2\nyoung,3\n",
            't.csv, row 3 (the header is row 1), column "age": a number was expected, but it is "old" (2 such cells)',
        ),
        ("age\n1\n1e39\n", 'row 3 (the header is row 1), column "age": 1e39 is too large for a 32-bit number'),
        ("age\ninf\n", 'a number was expected, but it is "inf"'),
    ],
)
def test_what_is_wrong_is_said_with_file_row_and_column(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(DataError) as caught:
        read_rows(write(tmp_path, text), AGE)
    assert says in str(caught.value)
    assert str(tmp_path / "t.csv") in str(caught.value)


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r'There is no file ".*gone\.csv"'):
        read_text(tmp_path / "gone.csv")
    with pytest.raises(DataError, match="is a folder; name a CSV file"):
        read_text(tmp_path)
    (tmp_path / "latin.csv").write_bytes("größe,x\n1,2\n".encode("latin-1"))
    with pytest.raises(DataError, match="not UTF-8; save it again"):
        read_text(tmp_path / "latin.csv")
    (tmp_path / "later.csv").write_bytes(b"a,x\n" + b"1,2\n" * 9999 + b"1,gr\xf6\xdfe\n")
    with pytest.raises(DataError, match="cannot be read as a table: .*UTF8"):
        read_text(tmp_path / "later.csv")


def rows(*pairs: tuple[float, str]) -> Table:
    numbers = np.float32([[number] for number, _ in pairs])
    return Table(Columns(("n",), ("c",)), numbers, np.array([[text] for _, text in pairs], dtype=object))


def test_ids_say_what_is_in_a_row_and_number_repeats(tmp_path: Path) -> None:
    first = read_text(write(tmp_path, "n,c,y\n1,a,p\n2,a,p\n1,b,q\n1,a,q\n?,,q\n")).ids("y")
    assert len(set(first)) == 5
    assert first[3] == f"{first[0]}#2"
    assert read_text(write(tmp_path, "y,c,n\nz,,NA\np, a,1\n")).ids("y") == [first[4], first[0]]


def test_rows_and_columns_of_a_table() -> None:
    table = join([rows((1, "a"), (2, "b")), rows((3, "c"))])
    assert len(table) == 3
    assert table.take(np.array([2, 0])).categories.tolist() == [["c"], ["a"]]
    assert table.feed().keys() == {"numbers", "categories"}
    assert table.choose(Columns((), ("c",))).feed().keys() == {"categories"}
    assert table.choose(Columns(("n",), ())).feed()["numbers"].tolist() == [[1.0], [2.0], [3.0]]
