"""Figures of merit of a classifier, from its probabilities.

Shapes: N samples, C classes. Probabilities are [N, C], each row sums to 1; labels are integers [N] in 0..C-1.
Rates lie in 0..1. Nothing here needs torch.
"""

from __future__ import annotations

from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

SMALLEST_PROBABILITY = 1e-12
ROW_SUM_TOLERANCE = 1e-3


class ReliabilityBin(TypedDict):
    """One bin (low, high] of confidence; the means are None where no sample falls into it."""

    low: float
    high: float
    confidence: float | None
    accuracy: float | None
    count: int


def per_sample(probabilities: Floats, labels: Integers) -> dict[str, Floats]:
    """Return accuracy (1.0 or 0.0), nll (natural logarithm) and brier, each [N].

    The negative log-likelihood takes probabilities below 1e-12 as 1e-12. Brier (1950): the sum over classes
    of the squared distance to the one-hot label, 0..2. Raises ValueError for arguments that do not fit.
    """
    probabilities, labels = _checked(probabilities, labels)
    rows = np.arange(len(labels))
    truth = np.clip(probabilities[rows, labels], SMALLEST_PROBABILITY, 1.0)
    distance = probabilities.copy()
    distance[rows, labels] -= 1.0
    return {
        "accuracy": _correct(probabilities, labels),
        "nll": np.abs(np.log(truth)),
        "brier": np.einsum("nc,nc->n", distance, distance),
    }


def worst_class_accuracy(probabilities: Floats, labels: Integers) -> float:
    """Return the accuracy, 0..1, of the class that fares worst; classes without a sample are left out."""
    probabilities, labels = _checked(probabilities, labels)
    return worst_class_rate(_correct(probabilities, labels), labels)


def worst_class_rate(correct: Floats, labels: Integers) -> float:
    """Return the same from what is right, 1.0 or 0.0 [N]: the work no longer grows with the number of classes."""
    count, right = np.bincount(labels), np.bincount(labels, weights=correct)
    present = count > 0
    return float(np.min(right[present] / count[present]))


def expected_calibration_error(probabilities: Floats, labels: Integers, bins: int = 15) -> float:
    """Return the mean distance, 0..1, between confidence and accuracy over bins of equal width.

    Bins are closed on the right, (low, high], so that a confidence of exactly 1 falls into the last one.
    Naeini et al. (2015), "Obtaining well calibrated probabilities using Bayesian binning".
    """
    probabilities, labels = _checked(probabilities, labels)
    return calibration_error(probabilities.max(axis=1), _correct(probabilities, labels), bins)


def calibration_error(confidence: Floats, correct: Floats, bins: int = 15) -> float:
    """Return the same from the confidence, 0..1, and what is right, 1.0 or 0.0; both [N]."""
    _, sure, right = _binned(confidence, correct, bins)
    return float(np.abs(sure - right).sum() / len(correct))


def reliability(probabilities: Floats, labels: Integers, bins: int = 15) -> list[ReliabilityBin]:
    """Return what a reliability diagram draws: confidence and accuracy of every bin (low, high]."""
    probabilities, labels = _checked(probabilities, labels)
    counts, confidence, accuracy = _binned(probabilities.max(axis=1), _correct(probabilities, labels), bins)
    edges = np.linspace(0.0, 1.0, bins + 1)
    return [
        ReliabilityBin(
            low=float(edges[i]),
            high=float(edges[i + 1]),
            confidence=float(confidence[i] / count) if count else None,
            accuracy=float(accuracy[i] / count) if count else None,
            count=int(count),
        )
        for i, count in enumerate(counts)
    ]


def confusion(predicted: Integers, labels: Integers, classes: int) -> Integers:
    """Return counts [C, C]: row = true class, column = predicted class."""
    predicted = _checked_classes(predicted, classes, "predicted classes")
    labels = _checked_classes(labels, classes, "labels")
    if predicted.shape != labels.shape:
        raise ValueError(
            f"Expected as many predicted classes as labels; got {len(predicted)} and {len(labels)}. "
            "Pass both for the same samples."
        )
    counts = np.bincount(labels * classes + predicted, minlength=classes * classes)
    return counts.reshape(classes, classes).astype(np.int64)


def agreement(student: Floats, teacher: Floats) -> Floats:
    """Return 1.0 where student and teacher, probabilities [N, C], name the same class, else 0.0; [N]."""
    student, teacher = _checked_pair(student, teacher)
    same: Floats = (student.argmax(axis=1) == teacher.argmax(axis=1)).astype(np.float64)
    return same


def negative_flips(student: Floats, teacher: Floats, labels: Integers) -> Floats:
    """Return 1.0 where the teacher is right and the student wrong, else 0.0; [N].

    student, teacher: probabilities [N, C]. Yan et al. (2021), "Positive-congruent training".
    """
    student, teacher = _checked_pair(student, teacher)
    student, labels = _checked(student, labels)
    return _correct(teacher, labels) * (1.0 - _correct(student, labels))


def _correct(probabilities: Floats, labels: Integers) -> Floats:
    right: Floats = (probabilities.argmax(axis=1) == labels).astype(np.float64)
    return right


def _binned(confidence: Floats, correct: Floats, bins: int) -> tuple[Integers, Floats, Floats]:
    """Return per bin: number of samples, sum of confidence, sum of correct answers."""
    if bins < 1:
        raise ValueError(f"Expected at least one bin; got {bins}. Choose a positive number such as 15.")
    confidence = np.minimum(confidence, 1.0)
    edges = np.linspace(0.0, 1.0, bins + 1)
    where = np.searchsorted(edges, confidence, side="left") - 1
    return (
        np.bincount(where, minlength=bins).astype(np.int64),
        np.bincount(where, weights=confidence, minlength=bins).astype(np.float64),
        np.bincount(where, weights=correct, minlength=bins).astype(np.float64),
    )


def _checked(probabilities: Floats, labels: Integers) -> tuple[Floats, Integers]:
    probabilities = _checked_probabilities(probabilities, "probabilities")
    labels = _checked_classes(labels, probabilities.shape[1], "labels")
    if len(labels) != len(probabilities):
        raise ValueError(
            f"Expected one label for each row of probabilities; got {len(labels)} labels and "
            f"{len(probabilities)} rows. Pass both for the same samples."
        )
    return probabilities, labels


def _checked_pair(student: Floats, teacher: Floats) -> tuple[Floats, Floats]:
    student = _checked_probabilities(student, "the student's probabilities")
    teacher = _checked_probabilities(teacher, "the teacher's probabilities")
    if student.shape != teacher.shape:
        raise ValueError(
            f"Expected student and teacher probabilities of one shape; got {student.shape} and "
            f"{teacher.shape}. Evaluate both on the same samples and classes."
        )
    return student, teacher


def _checked_probabilities(probabilities: Floats, name: str) -> Floats:
    probabilities = np.asarray(probabilities, dtype=np.float64)
    if probabilities.ndim != 2 or probabilities.size == 0:
        raise ValueError(f"Expected {name} of shape [samples, classes], neither of them 0; got {probabilities.shape}.")
    sums = probabilities.sum(axis=1)
    wrong = ~(np.abs(sums - 1.0) <= ROW_SUM_TOLERANCE)
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(
            f"Expected rows of {name} to sum to 1; row {row} sums to {sums[row]:.6g}. "
            "If these are logits, apply softmax first."
        )
    if probabilities.min() < 0.0:
        row = int(probabilities.min(axis=1).argmin())
        raise ValueError(f"Expected no value of {name} below 0; row {row} has one. Apply softmax first.")
    return probabilities


def _checked_classes(values: Integers, classes: int, name: str) -> Integers:
    given = np.asarray(values)
    if given.ndim != 1 or not np.issubdtype(given.dtype, np.integer):
        raise ValueError(f"Expected {name} as integers of shape [samples]; got {given.dtype} of shape {given.shape}.")
    outside = (given < 0) | (given >= classes)
    if outside.any():
        row = int(outside.argmax())
        raise ValueError(
            f"Expected {name} in 0..{classes - 1}; row {row} is {given[row]}. "
            "Leave out samples whose class is withheld or unknown."
        )
    return given.astype(np.int64)
