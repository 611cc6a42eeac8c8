from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.evaluate.robustness import accuracy_by_coverage, mean_corruption_error, over_fitting


def test_mce_is_the_ratio_of_errors() -> None:
    student = np.array([[1.0, 0.5, 0.0, 1.0], [1.0, 1.0, 0.5, 0.5]])  # errors 1.5 and 1
    control = np.array([[0.5, 0.5, 0.0, 1.0], [1.0, 0.0, 0.0, 0.5]])  # errors 2 and 2.5
    found = mean_corruption_error(student, control)
    assert found.values == (0.75, 0.4)
    assert found.mean == pytest.approx(np.mean([0.75, 0.4]))
    assert found.low <= found.mean <= found.high


def test_mce_of_a_model_against_itself_is_one_and_without_errors_there_is_none() -> None:
    right = np.random.default_rng(0).random((3, 50))
    same = mean_corruption_error(right, right)
    assert (same.mean, same.low, same.high) == pytest.approx((1, 1, 1))
    assert mean_corruption_error(right, np.ones_like(right)) is None


def test_mce_may_be_far_above_one() -> None:
    student, control = np.zeros((1, 40)), np.ones((1, 40))
    control[0, :8] = 0
    found = mean_corruption_error(student, control)
    assert found.mean == 5
    assert found.high > 5


def test_over_fitting_is_train_less_test_and_may_be_negative() -> None:
    train, test = np.ones((2, 30)), np.ones((2, 20))
    test[:, :5] = 0
    found = over_fitting(train, test)
    assert found.mean == 0.25
    assert found.low < 0.25 < found.high
    assert over_fitting(test, train).mean == -0.25
    assert over_fitting(test, train).low < -0.25


def test_coverage_of_sure_and_unsure_answers() -> None:
    confidence = np.array([0.9, 0.5, 0.8, 0.6])
    correct = np.array([1.0, 0.0, 1.0, 0.0])
    found = accuracy_by_coverage(confidence, correct, np.array([0.25, 0.5, 0.75, 1.0]))
    np.testing.assert_allclose(found, [1, 1, 2 / 3, 0.5])


def test_ties_at_confidence_one_count_by_their_mean_in_any_order() -> None:
    confidence, correct = np.array([1.0, 1.0, 1.0, 1.0, 0.4]), np.array([1.0, 0.0, 1.0, 1.0, 0.0])
    for order in ([0, 1, 2, 3, 4], [1, 4, 3, 2, 0]):
        found = accuracy_by_coverage(confidence[order], correct[order], np.array([0.2, 0.4, 0.8, 1.0]))
        np.testing.assert_allclose(found, [0.75, 0.75, 0.75, 0.6])


@given(st.integers(1, 60), st.integers(0, 10_000))
@settings(max_examples=40)
def test_coverage_equals_a_slow_one_without_ties(count: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    confidence = random.permutation(count) / count
    correct = random.integers(0, 2, count).astype(float)
    order = np.argsort(-confidence)
    expected = [correct[order[:k]].mean() for k in range(1, count + 1)]
    np.testing.assert_allclose(accuracy_by_coverage(confidence, correct, np.arange(1, count + 1) / count), expected)
