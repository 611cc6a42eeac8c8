from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.data.split import by_hash, split
from limbeck.errors import DataError

LABELLED = st.lists(st.integers(-1, 4), max_size=60).map(lambda some: np.array([*some, *range(5), *range(5)]))


def names(count: int) -> list[str]:
    return [f"picture-{row}.png" for row in range(count)]


@given(labels=LABELLED, fraction=st.floats(0.01, 0.99), seed=st.integers(0, 99))
@settings(max_examples=60)
def test_split_is_a_stratified_partition(labels: np.ndarray, fraction: float, seed: int) -> None:
    rest, held = split(labels, names(len(labels)), fraction=fraction, seed=seed)
    assert sorted([*rest, *held]) == list(range(len(labels)))
    assert rest.dtype == held.dtype == np.int64
    assert (labels[held] >= 0).all()
    for label in range(5):
        count, kept = int((labels == label).sum()), int((labels[held] == label).sum())
        assert 1 <= kept <= count - 1
        assert abs(kept - fraction * count) <= 1


@given(labels=LABELLED, order=st.randoms(use_true_random=False), seed=st.integers(0, 99))
@settings(max_examples=40)
def test_split_depends_on_ids_not_on_rows(labels: np.ndarray, order: object, seed: int) -> None:
    ids = names(len(labels))
    held = {ids[row] for row in split(labels, ids, fraction=0.3, seed=seed)[1]}
    rows = list(range(len(labels)))
    order.shuffle(rows)  # type: ignore[attr-defined]
    shuffled = [ids[row] for row in rows]
    again = {shuffled[row] for row in split(labels[rows], shuffled, fraction=0.3, seed=seed)[1]}
    assert again == held


def test_added_samples_move_few_others() -> None:
    labels = np.arange(1000) % 2
    before = {*split(labels, names(1000), fraction=0.2, seed=0)[1].tolist()}
    after = {*split(np.arange(1100) % 2, names(1100), fraction=0.2, seed=0)[1].tolist()}
    moved = before ^ {row for row in after if row < 1000}
    assert len(moved) <= 20


def test_another_seed_is_another_split() -> None:
    labels = np.arange(200) % 2
    first, second = (set(split(labels, names(200), fraction=0.5, seed=seed)[1].tolist()) for seed in (0, 1))
    assert 25 < len(first & second) < 75


def test_order_is_a_permutation_that_subsets_keep() -> None:
    ids = names(50)
    order = by_hash(ids, 3)
    assert sorted(order) == list(range(50))
    some = [ids[row] for row in order if row % 2]
    assert [some[row] for row in by_hash(some, 3)] == some


def test_nothing_labelled_holds_nothing() -> None:
    rest, held = split(np.full(4, -1), names(4), fraction=0.5, seed=0)
    assert rest.tolist() == [0, 1, 2, 3]
    assert held.tolist() == []


def test_mistakes_are_sentences() -> None:
    with pytest.raises(DataError, match="Class 1 has a single sample"):
        split(np.array([0, 0, 1]), names(3), fraction=0.5, seed=0)
    for fraction in (0.0, 1.0, -0.1):
        with pytest.raises(DataError, match="between 0 and 1"):
            split(np.array([0, 0]), names(2), fraction=fraction, seed=0)
