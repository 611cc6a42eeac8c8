"""Softmax and the temperature that makes a classifier's confidence honest. Needs no torch."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax as scipy_log_softmax

FEWEST_ROWS = 50
MOST_LOGITS = 20_000_000
LOWEST, HIGHEST = 0.05, 20.0


def softmax(logits: NDArray[np.floating], temperature: float = 1.0) -> NDArray[np.float64]:
    """Return softmax(logits / temperature) over the last axis in float64, whatever precision came in.

    Raises ValueError unless temperature > 0.
    """
    return np.exp(_log_softmax(logits, temperature))


def fit_temperature(logits: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
    """Return the temperature in 0.05..20 at which softmax(logits / T) has the least negative log-likelihood.

    logits: [N, C]; labels: integers [N] in 0..C-1, of validation samples. With fewer than 50 rows, or without
    a single mistake among them, the answer is 1.0: where every sample is right the best fit is a confidence
    without bound. Of more than 20 million logits every n-th row is looked at: one number is soon known well enough.
    Guo et al. (2017), "On calibration of modern neural networks". Raises ValueError for shapes or labels that do not
    fit.
    """
    step = max(1, -(-np.asarray(logits).size // MOST_LOGITS))
    exact: NDArray[np.float64] = np.asarray(logits[::step], dtype=np.float64)
    labels = np.asarray(labels)[::step]
    _check(exact, labels)
    if len(labels) < FEWEST_ROWS:
        return 1.0
    if (exact.argmax(axis=1) == labels).all():
        return 1.0
    rows = np.arange(len(labels))

    def nll(log_temperature: float) -> float:
        return -float(np.mean(_log_softmax(exact, math.exp(log_temperature))[rows, labels]))

    found = minimize_scalar(nll, bounds=(math.log(LOWEST), math.log(HIGHEST)), method="bounded")
    return math.exp(float(found.x))


def _log_softmax(logits: NDArray[np.floating], temperature: float) -> NDArray[np.float64]:
    if not temperature > 0:
        raise ValueError(f"Expected a temperature above 0; got {temperature}. Use 1 for plain softmax.")
    return np.asarray(scipy_log_softmax(np.asarray(logits, dtype=np.float64) / temperature, axis=-1))


def _check(logits: NDArray[np.float64], labels: NDArray[np.integer]) -> None:
    if logits.ndim != 2 or labels.shape != logits.shape[:1]:
        raise ValueError(
            f"Expected logits [N, C] and labels [N]; got shapes {logits.shape} and {labels.shape}. "
            "Pass both for the same samples."
        )
    if not np.isfinite(logits).all():
        row = int((~np.isfinite(logits).all(axis=1)).argmax())
        raise ValueError(f"Expected finite logits; row {row} is not. Check that training did not diverge.")
    if labels.size and (labels.min() < 0 or labels.max() >= logits.shape[1]):
        raise ValueError(
            f"Expected labels in 0..{logits.shape[1] - 1}; got {labels.min()} to {labels.max()}. "
            "Leave out samples whose label is withheld."
        )
