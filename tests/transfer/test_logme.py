"""LogME against the log marginal likelihood of a Gaussian, made largest by search."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.stats import multivariate_normal

from limbeck.transfer.logme import logme

Floats = NDArray[np.float64]


def searched(features: Floats, labels: NDArray[np.int64]) -> float:
    """Return the same by brute force: labels are drawn from N(0, I / beta + F F^T / alpha)."""
    count, gram, found = len(features), features @ features.T, []
    for name in np.unique(labels):
        target = (labels == name).astype(np.float64)

        def negative(logs: Floats, target: Floats = target) -> float:
            covariance = np.eye(count) * np.exp(-logs[1]) + gram * np.exp(-logs[0])
            return -float(multivariate_normal.logpdf(target, np.zeros(count), covariance)) / count

        starts = [(0.0, 0.0), (3.0, 3.0), (-2.0, 2.0)]
        found.append(max(-minimize(negative, start, method="Nelder-Mead").fun for start in starts))
    return float(np.mean(found))


@given(st.integers(0, 10_000), st.sampled_from([(20, 3), (24, 8), (15, 30)]))
@settings(max_examples=8)
def test_it_is_the_largest_evidence(seed: int, shape: tuple[int, int]) -> None:
    dice = np.random.default_rng(seed)
    labels = np.arange(shape[0]) % 3
    features = dice.normal(size=shape) + labels[:, None] * dice.normal(size=(1, shape[1])) * 0.3
    assert logme(features, labels) == pytest.approx(searched(features, labels), abs=2e-3)


def test_features_that_tell_the_classes_score_higher() -> None:
    dice = np.random.default_rng(0)
    labels = np.arange(200) % 4
    centres = dice.normal(size=(4, 10))
    found = [logme(centres[labels] + noise * dice.normal(size=(200, 10)), labels) for noise in (0.1, 0.5, 2.0, 20.0)]
    assert found == sorted(found, reverse=True) and found[0] - found[-1] > 0.5


def test_scale_and_turns_of_the_features_do_not_matter() -> None:
    dice = np.random.default_rng(1)
    labels, features = np.arange(60) % 3, dice.normal(size=(60, 6))
    turn = np.linalg.qr(dice.normal(size=(6, 6)))[0]
    wanted = logme(features, labels)
    assert logme(features * 100, labels) == pytest.approx(wanted, abs=1e-6)
    assert logme(features @ turn, labels) == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("features", [np.zeros((30, 4)), np.eye(3)[np.arange(30) % 3], np.ones((30, 4))])
def test_nothing_and_everything_give_a_number(features: Floats) -> None:
    assert np.isfinite(logme(features, np.arange(30) % 3))
