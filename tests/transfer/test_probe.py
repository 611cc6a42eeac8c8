"""A linear probe is judged on what it has not seen."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits

from limbeck.errors import DataError
from limbeck.transfer.probe import probe_accuracy


def test_pixels_of_digits_are_nearly_separable_and_noise_is_not() -> None:
    pixels, labels = load_digits(return_X_y=True)
    pixels, labels = pixels[:400], labels[:400].astype(np.int64)
    assert probe_accuracy(pixels, labels) > 0.9
    dice = np.random.default_rng(0)
    assert probe_accuracy(dice.normal(size=(400, 300)), labels) < 0.2  # a classifier learns these by heart
    assert probe_accuracy(pixels * 1e4 + 7, labels) == pytest.approx(probe_accuracy(pixels, labels))


def test_few_samples_of_a_class_make_fewer_parts_and_one_is_a_mistake() -> None:
    features = np.arange(12.0).reshape(6, 2)
    assert 0 <= probe_accuracy(features, np.array([0, 0, 0, 1, 1, 0])) <= 1
    with pytest.raises(DataError, match="at least 2 samples of each class, got a class with 1; raise --samples"):
        probe_accuracy(features, np.array([0, 0, 0, 1, 2, 2]))
