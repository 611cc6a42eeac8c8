"""Further tasks read their labels off those of the data."""

from __future__ import annotations

import pytest
import torch

from limbeck.data.dataset import Data
from limbeck.data.further import further_task
from limbeck.errors import DataError


@pytest.fixture(scope="module")
def digits() -> Data:
    return Data.open("digits")


def test_labels_are_read_off_and_what_is_withheld_stays_so(digits: Data) -> None:
    task = further_task("size", {"small": ["0", "1"], "large": ["9", "8"]}, digits)
    assert task.classes == ("small", "large")
    given = torch.tensor([0, 1, 2, 7, 8, 9, -1])
    assert task.labels(given).tolist() == [0, 0, -1, -1, 1, 1, -1]
    assert task.described() == ["size", ["small", "large"], [0, 0, -1, -1, -1, -1, -1, -1, 1, 1, -1]]


def test_the_data_of_a_task_are_the_same_samples_and_rows_with_its_own_labels(digits: Data) -> None:
    task = further_task("size", {"small": ["0", "1"], "large": ["9"]}, digits)
    own = task.of(digits)
    assert own.classes == ("small", "large") and own.pool.inputs is digits.pool.inputs
    assert torch.equal(own.pool.labels, task.labels(digits.pool.labels))
    assert torch.equal(own.test.labels, task.labels(digits.test.labels))
    assert own.test.ids == digits.test.ids
    assert torch.equal(own.train, digits.train) and torch.equal(own.validation, digits.validation)


def test_the_teacher_of_a_task_sees_classes_that_the_student_does_not(digits: Data) -> None:
    hidden = digits.not_showing(["3"])
    own = further_task("parity", {"even": ["0", "2"], "odd": ["1", "3"]}, digits).of(hidden)
    assert not own.unseen_classes and sorted(own.train.tolist()) == sorted(digits.train.tolist())


def test_a_class_that_is_not_there_is_named(digits: Data) -> None:
    with pytest.raises(DataError, match=r'tasks.size.classes: digits has no class "ten"'):
        further_task("size", {"small": ["0"], "large": ["ten"]}, digits)
