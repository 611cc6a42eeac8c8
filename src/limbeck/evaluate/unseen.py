"""How well a classifier's scores tell samples of its own kind from others; a higher score means another kind.

Shapes: S seeds, N samples of its own kind, O others, C classes.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp
from scipy.stats import rankdata

from limbeck.evaluate.calibration import softmax
from limbeck.evaluate.intervals import Interval, bootstrap

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

ACCEPTED = 0.95


def msp_score(logits: NDArray[np.floating]) -> Floats:
    """Return 1 less the highest probability, [...], of logits [..., C].

    Hendrycks and Gimpel (2017), "A baseline for detecting misclassified and out-of-distribution examples".
    """
    return np.asarray(1.0 - softmax(logits).max(axis=-1))


def energy_score(logits: NDArray[np.floating]) -> Floats:
    """Return minus the log-sum-exp, [...], of logits [..., C].

    Liu et al. (2020), "Energy-based out-of-distribution detection", at temperature 1.
    """
    return np.asarray(-logsumexp(np.asarray(logits, dtype=np.float64), axis=-1))


SCORES: dict[str, Callable[[NDArray[np.floating]], Floats]] = {"msp": msp_score, "energy": energy_score}


def auroc(own: Floats, others: Floats) -> float:
    """Return how often one of the others, [O], has the higher score than one of its own, [N]; equal ones count half."""
    ranks = rankdata(np.concatenate([own, others]))  # much faster than a curve, of which each bootstrap draws hundreds
    above = ranks[len(own) :].sum() - len(others) * (len(others) + 1) / 2
    return float(above / (len(own) * len(others)))


def fpr95(own: Floats, others: Floats) -> float:
    """Return the share, 0..1, of the others that is accepted where at least 95 % of its own are.

    Accepted is a score at or below the least bound that does so; equal scores, such as those of many samples with a
    confidence of exactly 1, are all accepted or none.
    """
    bound = np.sort(own)[int(np.ceil(ACCEPTED * len(own))) - 1]
    return float((others <= bound).mean())


def separation(own: Floats, others: Floats) -> dict[str, Interval]:
    """Return auroc and fpr95 with intervals over seeds and samples of both kinds; scores [S, N] and [S, O]."""
    scores = np.concatenate([own, others], axis=1)[..., None]
    kind = np.repeat(np.array([0, 1]), [own.shape[1], others.shape[1]])
    return {
        "auroc": bootstrap(lambda one, kinds: auroc(*_apart(one, kinds)), scores, kind),
        "fpr95": bootstrap(lambda one, kinds: fpr95(*_apart(one, kinds)), scores, kind),
    }


def _apart(scores: Floats, kind: Integers) -> tuple[Floats, Floats]:
    return scores[kind == 0, 0], scores[kind == 1, 0]
