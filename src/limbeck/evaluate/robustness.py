"""What corruption, unseen data and training do to a classifier, in one figure each, with intervals.

Shapes: S seeds, N test samples, M training samples, K corruptions, L severities. What is right is 1, what is wrong 0.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from limbeck.evaluate.intervals import Interval, bootstrap

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def mean_corruption_error(student: Floats, control: Floats) -> Interval | None:
    """Return the sum of errors over the sum of the control's, both from what is right, [S, N], means over corruptions.

    Below 1 the student errs less than the control. None where the control never errs. Hendrycks and Dietterich (2019),
    "Benchmarking neural network robustness to common corruptions and perturbations", with the control for AlexNet and
    one sum over all corruptions.
    """
    pairs = 1.0 - np.stack([student, control], axis=2)
    if not pairs[..., 1].any():
        return None
    none = np.zeros(pairs.shape[1], dtype=np.int64)
    return bootstrap(lambda one, _: _ratio(one), pairs, none, within=(0.0, np.inf))


def _ratio(errors: Floats) -> float:
    mine, theirs = errors.sum(axis=0)
    return float(mine / theirs) if theirs > 0.0 else 1.0


def over_fitting(train: Floats, test: Floats) -> Interval:
    """Return the accuracy on training samples [S, M] less that on test samples [S, N]."""
    right = np.concatenate([train, test], axis=1)[..., None]
    part = np.repeat(np.array([0, 1]), [train.shape[1], test.shape[1]])
    return bootstrap(_gap, right, part, within=(-1.0, 1.0))


def _gap(right: Floats, part: Integers) -> float:
    return float(right[part == 0].mean() - right[part == 1].mean())


def accuracy_by_coverage(confidence: Floats, correct: Floats, coverages: Floats) -> Floats:
    """Return the accuracy, 0..1, of the share of samples that a model is surest of, for each share in 0 < c <= 1.

    confidence, correct: [N]. Of equally confident samples, such as many of confidence 1, those inside count by their
    mean, so that their order does not matter.
    """
    levels, group = np.unique(-confidence, return_inverse=True)
    inside = np.concatenate([[0.0], np.cumsum(np.bincount(group, minlength=len(levels)))])
    right = np.concatenate([[0.0], np.cumsum(np.bincount(group, weights=correct, minlength=len(levels)))])
    answered = np.maximum(1.0, coverages * len(confidence))
    return np.asarray(np.interp(answered, inside, right) / answered)
