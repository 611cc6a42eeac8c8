"""Metrics against scikit-learn, slow numpy and figures worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix, log_loss, recall_score

from limbeck.evaluate.metrics import (
    agreement,
    confusion,
    expected_calibration_error,
    negative_flips,
    per_sample,
    reliability,
    worst_class_accuracy,
)


def made_up(seed: int, samples: int = 60, classes: int = 4) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    return generator.dirichlet(np.ones(classes), size=samples), generator.integers(classes, size=samples)


def slow_calibration_error(probabilities: np.ndarray, labels: np.ndarray, bins: int) -> float:
    error = 0.0
    for k in range(bins):
        low, high = k / bins, (k + 1) / bins
        members = [i for i, row in enumerate(probabilities) if low < row.max() <= high]
        if members:
            confidence = np.mean([probabilities[i].max() for i in members])
            accuracy = np.mean([probabilities[i].argmax() == labels[i] for i in members])
            error += len(members) / len(labels) * abs(confidence - accuracy)
    return error


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.integers(2, 6))
def test_means_equal_the_references(seed: int, classes: int) -> None:
    probabilities, labels = made_up(seed, classes=classes)
    figures = per_sample(probabilities, labels)
    assert figures["nll"].mean() == pytest.approx(log_loss(labels, probabilities, labels=range(classes)))
    brier = [sum((p - (c == y)) ** 2 for c, p in enumerate(row)) for row, y in zip(probabilities, labels, strict=True)]
    np.testing.assert_allclose(figures["brier"], brier)
    assert figures["accuracy"].mean() == np.mean(probabilities.argmax(axis=1) == labels)
    assert all(values.shape == labels.shape for values in figures.values())


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.integers(1, 20))
def test_calibration_error_equals_the_slow_one(seed: int, bins: int) -> None:
    probabilities, labels = made_up(seed)
    fast = expected_calibration_error(probabilities, labels, bins)
    assert fast == pytest.approx(slow_calibration_error(probabilities, labels, bins))
    assert 0.0 <= fast <= 1.0
    rows = reliability(probabilities, labels, bins)
    gaps = [row["count"] * abs(row["confidence"] - row["accuracy"]) for row in rows if row["count"]]
    assert sum(gaps) / len(labels) == pytest.approx(fast)
    assert sum(row["count"] for row in rows) == len(labels)


def test_confidence_of_exactly_one_falls_into_the_last_bin() -> None:
    probabilities = np.array([[1.0, 0.0], [1.0, 0.0], [0.4, 0.6], [0.4, 0.6]])
    labels = np.array([0, 1, 1, 1])
    # last bin: confidence 1, accuracy 1/2, 2 of 4; bin of 0.6: confidence 0.6, accuracy 1, 2 of 4
    assert expected_calibration_error(probabilities, labels) == pytest.approx(0.5 * 0.5 + 0.5 * 0.4)
    last = reliability(probabilities, labels)[-1]
    assert (last["count"], last["confidence"], last["accuracy"], last["high"]) == (2, 1.0, 0.5, 1.0)


def test_a_confidence_on_an_edge_belongs_to_the_bin_below() -> None:
    rows = reliability(np.array([[0.5, 0.5]]), np.array([0]), bins=4)
    assert [row["count"] for row in rows] == [0, 1, 0, 0]
    assert rows[0]["confidence"] is None
    assert rows[0]["accuracy"] is None


def test_calibration_is_perfect_when_confidence_equals_accuracy() -> None:
    assert expected_calibration_error(np.tile([0.75, 0.25], (4, 1)), np.array([0, 0, 0, 1])) == pytest.approx(0.0)


def test_an_impossible_true_class_costs_a_finite_loss() -> None:
    figures = per_sample(np.array([[1.0, 0.0]]), np.array([1]))
    assert figures["nll"][0] == pytest.approx(-np.log(1e-12))
    assert figures["brier"][0] == 2.0
    assert per_sample(np.array([[1.0, 0.0]]), np.array([0]))["nll"][0] == 0.0


@settings(max_examples=20)
@given(st.integers(0, 10_000))
def test_worst_class_is_the_smallest_recall(seed: int) -> None:
    probabilities, labels = made_up(seed)
    recalls = recall_score(labels, probabilities.argmax(axis=1), average=None, labels=np.unique(labels))
    assert worst_class_accuracy(probabilities, labels) == pytest.approx(recalls.min())


def test_worst_class_leaves_absent_classes_out() -> None:
    probabilities = np.array([[0.9, 0.1, 0.0], [0.8, 0.2, 0.0], [0.1, 0.0, 0.9]])
    assert worst_class_accuracy(probabilities, np.array([0, 0, 2])) == 1.0
    assert worst_class_accuracy(probabilities, np.array([0, 2, 2])) == 0.5


def test_confusion_has_the_truth_in_its_rows() -> None:
    labels, predicted = np.array([0, 0, 2, 1, 2]), np.array([0, 2, 2, 1, 0])
    np.testing.assert_array_equal(confusion(predicted, labels, 4), confusion_matrix(labels, predicted, labels=range(4)))
    assert confusion(predicted, labels, 4)[0, 2] == 1


def test_agreement_and_negative_flips_by_hand() -> None:
    student = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.7, 0.3]])
    teacher = np.array([[0.8, 0.2], [0.9, 0.1], [0.1, 0.9], [0.2, 0.8]])
    labels = np.array([0, 0, 1, 0])
    assert agreement(student, teacher).tolist() == [1, 0, 0, 0]
    assert negative_flips(student, teacher, labels).tolist() == [0, 1, 1, 0]


@pytest.mark.parametrize(
    ("probabilities", "labels", "words"),
    [
        ([[2.0, 3.0]], [0], "row 0 sums to 5.*softmax"),
        ([[0.5, 0.5], [np.nan, 0.5]], [0, 1], "row 1 sums to nan"),
        ([[1.5, -0.5]], [0], "below 0"),
        ([0.5, 0.5], [0, 1], r"\[samples, classes\]"),
        ([[0.5, 0.5]], [2], r"0\.\.1; row 0 is 2"),
        ([[0.5, 0.5], [0.5, 0.5]], [0, -1], "row 1 is -1.*withheld"),
        ([[0.5, 0.5]], [0, 1], "2 labels and 1 rows"),
        ([[0.5, 0.5]], [0.0], "integers"),
    ],
)
def test_wrong_arguments_are_explained(probabilities: list, labels: list, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        per_sample(np.array(probabilities), np.array(labels))


def test_other_wrong_arguments_are_explained() -> None:
    one, two = np.array([[0.5, 0.5]]), np.array([[0.5, 0.5], [1.0, 0.0]])
    with pytest.raises(ValueError, match="one shape"):
        agreement(one, two)
    with pytest.raises(ValueError, match="as many predicted classes as labels"):
        confusion(np.array([0, 1]), np.array([0]), 2)
    with pytest.raises(ValueError, match="at least one bin"):
        expected_calibration_error(one, np.array([0]), bins=0)
