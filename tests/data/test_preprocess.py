from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.compose import ColumnTransformer
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from limbeck.data.preprocess import FARTHEST, Categories, Numbers, Preprocessing, fit
from limbeck.data.table import Columns, Table
from limbeck.errors import DataError

NUMBERS, TEXTS = ("a", "b", "c"), ("d", "e")
values = st.one_of(st.just(float("nan")), st.floats(-1e6, 1e6, width=32))
texts = st.sampled_from(["", "x", "y", "ä", "x y"])


def table(numbers: np.ndarray, categories: np.ndarray) -> Table:
    columns = Columns(NUMBERS[: numbers.shape[1]], TEXTS[: categories.shape[1]])
    return Table(columns, numbers.astype(np.float32), categories.astype(object))


@st.composite
def tables(draw: st.DrawFn, least: int = 3) -> Table:
    rows = draw(st.integers(least, 12))
    numbers = draw(hnp.arrays(np.float32, (rows, 3), elements=values))
    categories = np.array([[draw(texts), draw(texts)] for _ in range(rows)], dtype=object)
    return table(numbers, categories)


def pipeline() -> ColumnTransformer:
    """What scikit-learn itself makes of such columns: an independent reference."""
    return ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), [0, 1, 2]),
            ("gaps", MissingIndicator(error_on_new=False), [0, 1, 2]),
            ("texts", OneHotEncoder(handle_unknown="ignore", sparse_output=False), [3, 4]),
        ]
    )


def mixed(rows: Table) -> np.ndarray:
    return np.concatenate([rows.numbers.astype(object), rows.categories], axis=1)


@settings(max_examples=150)
@given(train=tables(), other=tables(1))
def test_it_is_the_pipeline_of_scikit_learn(train: Table, other: Table) -> None:
    """Also on rows with gaps and texts that the training rows do not have."""
    try:
        learned, _ = fit(train, "label")
    except DataError:
        return
    if len(learned.columns.names) < 5:  # the reference keeps columns that say nothing
        return
    reference = pipeline().fit(mixed(train))
    for rows in (train, other):
        wanted = reference.transform(mixed(rows)).astype(np.float64).clip(-FARTHEST, FARTHEST)
        np.testing.assert_allclose(learned(rows), wanted, rtol=1e-5, atol=1e-5)
        assert learned(rows).dtype == np.float32


def example() -> Table:
    numbers = np.array([[1, 5, np.nan], [2, 5, 4], [3, 7, 4], [10, 5, 6]])
    return table(numbers, np.array([["x", ""], ["y", "p"], ["x", "p"], ["", "p"]]))


def test_values_by_hand() -> None:
    learned, notes = fit(example(), "label")
    a, _, c = learned.numbers
    assert (a.median, a.mean, a.flag) == (2.5, 4.0, False)
    assert a.scale == pytest.approx(np.sqrt(50 / 4))
    assert (c.median, c.mean, c.flag) == (4.0, 4.5, True)
    assert learned.categories == (Categories("d", ("", "x", "y")), Categories("e", ("", "p")))
    assert notes == ()
    found = learned(table(np.array([[np.nan, 5, np.nan]]), np.array([["new", "p"]])))[0]
    np.testing.assert_allclose(found[:3], [(2.5 - 4) / a.scale, -0.5 / np.sqrt(0.75), -0.5 / c.scale], rtol=1e-6)
    assert found[3:].tolist() == [1, 0, 0, 0, 0, 1]  # a gap in c; no flag for a text that is new


def test_a_gap_in_a_column_that_had_none_gets_the_median_and_no_flag() -> None:
    learned, _ = fit(example(), "label")
    gap = table(np.array([[np.nan, np.nan, 4]]), np.array([["x", "p"]]))
    whole = table(np.array([[2.5, 5, 4]]), np.array([["x", "p"]]))
    np.testing.assert_array_equal(learned(gap), learned(whole))


def test_numbers_that_all_but_agree_in_training_overflow_nothing() -> None:
    tiny = table(np.array([[0.0, 1, 2], [1e-45, 2, 3], [0.0, 1, 2]]), np.array([["x", ""], ["y", "p"], ["x", "p"]]))
    learned, _ = fit(tiny, "label")
    found = learned(table(np.array([[3.0, 1, 2], [-3.0, 1, 2]]), np.array([["x", ""], ["x", ""]])))
    assert found[:, 0].tolist() == [FARTHEST, -FARTHEST]


def test_it_survives_json_to_the_last_bit() -> None:
    learned, _ = fit(example(), "label")
    assert Preprocessing.from_json(json.loads(json.dumps(learned.as_json()))) == learned
    assert learned.difference(learned) is None


def test_columns_are_taken_by_name() -> None:
    learned, _ = fit(example(), "label")
    shuffled = example().choose(Columns(("c", "a", "b"), ("e", "d")))
    np.testing.assert_array_equal(learned(shuffled), learned(example()))


@pytest.mark.parametrize(
    ("numbers", "texts", "says"),
    [
        ([[1], [1], [1], [1]], None, '"a" was left out: it has the same value in every training row'),
        ([[np.nan]] * 4, None, '"a" was left out: it has the same value in every training row'),
        (None, ["x", "x", "x", "x"], '"d" was left out: it has the same value in every training row'),
        (None, ["p", "q", "r", "s"], '"d" was left out: its text differs in every training row, as an id does'),
        (None, ["p", "q", "r", ""], '"d" was left out: its text differs in every training row, as an id does'),
    ],
)
def test_columns_that_say_nothing_are_left_out(numbers: list | None, texts: list | None, says: str) -> None:
    kept = np.array([[1.0], [2], [3], [5]])
    given = np.concatenate([np.array(numbers, dtype=float), kept], axis=1) if numbers else kept
    categories = np.array(texts, dtype=object)[:, None] if texts else np.empty((4, 0), dtype=object)
    learned, notes = fit(table(given, categories), "label")
    assert len(notes) == 1
    assert says in notes[0]
    assert learned.columns.names == (("b",) if numbers else ("a",))


def test_a_constant_with_gaps_and_one_text_with_gaps_stay() -> None:
    rows = table(np.array([[1.0], [np.nan], [1], [1]]), np.array([["x"], [""], [""], [""]]))
    assert fit(rows, "label")[0].columns.names == ("a", "d")


def test_nothing_left_and_far_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match='No column says anything about the class column: The column "a" was left out'):
        fit(table(np.ones((4, 1)), np.empty((4, 0))), "label")
    monkeypatch.setattr("limbeck.data.preprocess.MOST_FEATURES", 3)
    with pytest.raises(DataError, match=r'9 features, more than 3; the column "d" alone has 3 different texts; leave'):
        fit(example(), "label")


def test_a_column_of_rare_texts_deserves_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("limbeck.data.preprocess.MANY", 2)
    _, notes = fit(example(), "label")
    assert notes == (
        'The column "d" has 3 different texts in 4 training rows, most of them too rare to learn from; is it an id? '
        "data.drop leaves it out.",
    )


def test_the_difference_names_a_column() -> None:
    learned, _ = fit(example(), "label")
    scaled = replace(learned, numbers=(learned.numbers[0], Numbers("b", 5, 5.5, 2, False), learned.numbers[2]))
    assert learned.difference(scaled) == "b"
    assert learned.difference(replace(learned, categories=learned.categories[:1])) == "e"
    assert replace(learned, categories=learned.categories[:1]).difference(learned) == "e"
    assert learned.difference(replace(learned, categories=learned.categories[::-1])) == "d"
    assert learned.difference(replace(learned, label="other")) is None
