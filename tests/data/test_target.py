"""The other domain of a task: shown without labels, tested with them."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.data.two_domains import domain

from limbeck.data.dataset import Data
from limbeck.errors import DataError


@pytest.fixture
def both(tmp_path: Path) -> tuple[Path, Path]:
    return domain(tmp_path / "source.npz", 0), domain(tmp_path / "target.npz", 60, seed=1)


def test_the_target_trains_without_labels_and_tests_with_them(both: tuple[Path, Path]) -> None:
    data = Data.open(f"npz:{both[0]}", target=f"npz:{both[1]}")
    assert data.pool.domain is not None and data.in_domain is not None
    theirs = data.pool.domain == 1
    assert int(theirs.sum()) == 90 and bool((data.pool.labels[theirs] == -1).all())
    assert set(data.train.tolist()) >= set(theirs.nonzero().flatten().tolist())
    assert not bool(theirs[data.validation].any())
    assert len(data.test) == 45 and bool((data.test.labels >= 0).all()) and len(data.in_domain) == 45
    assert data.test.ids[0].startswith("target/") and not data.in_domain.ids[0].startswith("target/")
    batch = data.pool.batch(data.train[-2:])
    assert batch.domain is not None and batch.domain.tolist() == [1, 1]


def test_a_target_without_a_test_split_gets_one(tmp_path: Path) -> None:
    places = domain(tmp_path / "a.npz", 0), domain(tmp_path / "b.npz", 60, test=False)
    data = Data.open(f"npz:{places[0]}", target=f"npz:{places[1]}", test=0.2)
    assert len(data.test) == 18 and data.pool.domain is not None and int(data.pool.domain.sum()) == 72


def test_a_target_that_lacks_a_class_is_refused(tmp_path: Path) -> None:
    places = domain(tmp_path / "a.npz", 0), domain(tmp_path / "b.npz", 60, classes=2)
    with pytest.raises(DataError, match=r"has no class '2'; both domains need the same class names, and it has 0, 1"):
        Data.open(f"npz:{places[0]}", target=f"npz:{places[1]}")
    data = Data.open(f"npz:{places[1]}", target=f"npz:{places[0]}")  # what it has beyond is left out
    assert data.classes == ("0", "1") and set(data.test.labels.tolist()) == {0, 1}
