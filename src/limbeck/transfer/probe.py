"""The accuracy of a linear classifier on features, on samples that it has not seen.

Shapes: n samples, D features.
"""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from limbeck.errors import DataError

FOLDS = 5
ROUNDS = 300  # of the solver; a ranking needs no more


def probe_accuracy(features: NDArray[np.floating], labels: NDArray[np.int64]) -> float:
    """Return the cross-validated accuracy of multinomial logistic regression, 0..1, larger is better.

    features: [n, D], brought to mean 0 and deviation 1; labels: int64 [n]. Five parts with the classes in proportion,
    fewer where a class has fewer samples; each is guessed from the others. Raises DataError where a class has one
    sample alone.
    """
    least = int(np.unique(labels, return_counts=True)[1].min())
    if least < 2:
        raise DataError("A linear probe expects at least 2 samples of each class, got a class with 1; raise --samples.")
    parts = StratifiedKFold(min(FOLDS, least), shuffle=True, random_state=0)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=ROUNDS))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return float(cross_val_score(model, features, labels, cv=parts).mean())
