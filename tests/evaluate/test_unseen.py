from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score, roc_curve

from limbeck.evaluate.unseen import auroc, energy_score, fpr95, msp_score, separation


def test_scores_of_hand_computed_logits() -> None:
    logits = np.log(np.array([[0.7, 0.2, 0.1], [2.0, 2.0, 4.0]]))
    np.testing.assert_allclose(msp_score(logits), [0.3, 0.5])
    np.testing.assert_allclose(energy_score(logits), [0, -np.log(8)], atol=1e-12)
    assert msp_score(np.array([0.0, 2000.0])) == 0  # a confidence of exactly 1
    assert energy_score(np.array([0.0, 2000.0])) == -2000


def reference(own: np.ndarray, others: np.ndarray) -> float:
    """Accept what has a low score: scikit-learn's curve of that, at the first point with 95 % of its own."""
    truth = np.repeat([1, 0], [len(own), len(others)])
    false, true, _ = roc_curve(truth, -np.concatenate([own, others]), drop_intermediate=False)
    return float(false[true >= 0.95 - 1e-12][0])


@given(st.integers(0, 10_000), st.integers(1, 80), st.integers(1, 80), st.sampled_from([3, 1000]))
@settings(max_examples=60)
def test_figures_equal_scikit_learn_with_ties_too(seed: int, count: int, others: int, levels: int) -> None:
    random = np.random.default_rng(seed)
    mine, theirs = (random.integers(0, levels, size) / levels for size in (count, others))
    assert fpr95(mine, theirs) == pytest.approx(reference(mine, theirs))
    truth = np.repeat([0, 1], [count, others])
    assert auroc(mine, theirs) == pytest.approx(roc_auc_score(truth, np.concatenate([mine, theirs])))


def test_confidence_one_everywhere_tells_nothing() -> None:
    own, others = np.zeros(40), np.zeros(30)
    assert auroc(own, others) == 0.5
    assert fpr95(own, others) == 1


def test_hand_computed_cases() -> None:
    own = np.arange(20.0)  # 95 % of 20 are 19: accepted up to 18
    assert fpr95(own, np.array([17.0, 18.0, 18.5, 30.0])) == 0.5
    assert auroc(np.array([1.0, 2.0]), np.array([2.0, 3.0])) == (1 + 1 + 0.5 + 1) / 4
    assert fpr95(np.array([5.0]), np.array([5.0, 6.0])) == 0.5


def test_intervals_hold_the_mean_and_shrink_with_samples() -> None:
    random = np.random.default_rng(1)
    small, large = (separation(random.normal(0, 1, (3, n)), random.normal(1, 1, (3, n))) for n in (40, 1000))
    for found in (small, large):
        for one in found.values():
            assert 0 <= one.low <= one.mean <= one.high <= 1
            assert len(one.values) == 3
    assert large["auroc"].high - large["auroc"].low < small["auroc"].high - small["auroc"].low
    assert large["auroc"].mean == pytest.approx(0.76, abs=0.03)
