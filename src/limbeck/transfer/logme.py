"""How well features explain labels by a linear model, weights integrated out (You et al. 2021, LogME).

Shapes: n samples, D features, C classes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
ROUNDS = 1000
CONVERGED = 1e-9  # relative change of the ratio of both precisions
TINY = 1e-10  # a singular value below this share of the largest is none
LARGEST = 1e12  # of a precision: beyond, features explain a class without remainder, or not at all


def logme(features: NDArray[np.floating], labels: NDArray[np.int64]) -> float:
    """Return the log evidence of labels given features, a sample and class; any real number, larger is better.

    features: [n, D]; labels: int64 [n]. Each class is one regression of 0 and 1, `y = F w + noise`, with precisions of
    weights and noise that make the evidence largest; the mean is taken over the classes that occur.
    """
    left, sizes, _ = np.linalg.svd(features.astype(np.float64), full_matrices=False)
    kept = sizes > TINY * sizes.max(initial=0.0)
    left, squares = left[:, kept], sizes[kept] ** 2
    return float(np.mean([_evidence(left, squares, (labels == name).astype(np.float64)) for name in np.unique(labels)]))


def _evidence(left: Floats, squares: Floats, target: Floats) -> float:
    """Return the largest log evidence of one target [n], divided by n.

    left: singular vectors [n, r]; squares: of the singular values above 0 [r]; directions without one change nothing.
    The fixed point is that of MacKay: the precisions of weights and noise are set from the posterior mean in turn.
    """
    count = len(target)
    parts = (left.T @ target) ** 2
    outside = max(float(target @ target - parts.sum()), 0.0)  # what no feature reaches
    alpha = beta = 1.0
    for _ in range(ROUNDS):
        before = alpha / beta
        gamma = float((squares / (before + squares)).sum())
        weights, remainder = _norms(squares, parts, outside, before)
        alpha, beta = _bounded(gamma, weights), _bounded(count - gamma, remainder)
        if abs(alpha / beta - before) <= CONVERGED * before:
            break
    ratio = alpha / beta
    weights, remainder = _norms(squares, parts, outside, ratio)
    spread = count * np.log(beta / (2 * np.pi)) - np.log1p(squares / ratio).sum()
    return float(spread - beta * remainder - alpha * weights) / 2 / count


def _bounded(degrees: float, norm: float) -> float:
    """Return a precision: degrees of freedom for each unit of a squared norm."""
    return min(max(degrees, 1 / LARGEST) / max(norm, 1 / LARGEST), LARGEST)


def _norms(squares: Floats, parts: Floats, outside: float, ratio: float) -> tuple[float, float]:
    """Return the squared norms of the posterior mean of the weights and of what it leaves; ratio: alpha / beta."""
    weights = float((squares * parts / (ratio + squares) ** 2).sum())
    return weights, float((parts * (ratio / (ratio + squares)) ** 2).sum()) + outside
