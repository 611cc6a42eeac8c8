from __future__ import annotations

import pytest
import torch

from limbeck.data.combine import concatenate, count_identical, without_labels
from limbeck.data.samples import Samples
from limbeck.errors import DataError


def samples(*values: float, width: int = 2) -> Samples:
    inputs = torch.tensor(values)[:, None].repeat(1, width)
    return Samples(inputs, torch.zeros(len(values)).long(), tuple(f"{width}/{value}" for value in values))


def test_samples_are_joined_in_order() -> None:
    joined = concatenate([samples(1, 2), without_labels(samples(2))])
    assert joined.inputs[:, 0].tolist() == [1, 2, 2]
    assert joined.labels.tolist() == [0, 0, -1]
    assert joined.ids == ("2/1", "2/2", "unlabelled/2/2")


def test_other_shapes_are_refused() -> None:
    with pytest.raises(DataError, match=r"must be like the training samples, \[2\] .* but they are \[3\]"):
        concatenate([samples(1), samples(1, width=3)])


def test_labels_are_taken_away_once() -> None:
    once = without_labels(samples(1))
    assert without_labels(once).ids == once.ids


def test_identical_samples_are_counted() -> None:
    assert count_identical(samples(1, 2, 3), samples(3, 1, 5, 7)) == 2
    assert count_identical(samples(0.0, width=3), samples(0.0, width=2)) == 0
