"""Figures of merit of predicted values. Shapes: N samples, C values of each, in the user's own units.

Nothing here needs torch.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from limbeck.evaluate.jackknife import pseudo_values

Floats = NDArray[np.float64]


def squared_errors(predicted: Floats, truth: Floats) -> Floats:
    """Return the squared error of each sample, averaged over its values: [N]."""
    predicted, truth = _checked(predicted, truth)
    return np.asarray(np.square(predicted - truth).mean(axis=1))


def absolute_errors(predicted: Floats, truth: Floats) -> Floats:
    """Return the absolute error of each sample, averaged over its values: [N]."""
    predicted, truth = _checked(predicted, truth)
    return np.asarray(np.abs(predicted - truth).mean(axis=1))


def r2_values(predicted: Floats, truth: Floats) -> Floats:
    """Return values [N] whose mean is R2, the share of the variance that is explained, averaged over the C values.

    1 is perfect, 0 is the mean of the truth, and there is no lowest. A value that is the same in all samples counts as
    0, and R2 of a single sample is 0.
    """
    predicted, truth = _checked(predicted, truth)
    count = len(truth)
    if count < 2:
        return np.zeros(count)
    errors, apart = np.square(predicted - truth), np.square(truth - truth.mean(axis=0))
    whole = _explained(errors.sum(axis=0), apart.sum(axis=0))
    rest = _explained(errors.sum(axis=0) - errors, apart.sum(axis=0) - apart * (count / (count - 1)))
    return pseudo_values(float(whole.mean()), rest.mean(axis=1))


def _explained(errors: Floats, variance: Floats) -> Floats:
    """Return 1 - errors / variance, 0 where there is no variance; sums of squares, [C] or [N, C]."""
    there = variance > 1e-12
    found: Floats = np.where(there, 1.0 - errors / np.where(there, variance, 1.0), 0.0)
    return found


def _checked(predicted: Floats, truth: Floats) -> tuple[Floats, Floats]:
    predicted, truth = np.asarray(predicted, np.float64), np.asarray(truth, np.float64)
    if predicted.ndim != 2 or predicted.shape != truth.shape or predicted.size == 0:
        raise ValueError(
            f"Expected predicted and true values of one shape [samples, values]; got {predicted.shape}, {truth.shape}."
        )
    if not (np.isfinite(predicted).all() and np.isfinite(truth).all()):
        raise ValueError("Expected finite values; some are not. Check that training did not diverge.")
    return predicted, truth
