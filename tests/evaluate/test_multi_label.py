"""Ranking and decisions label by label: against scikit-learn, leaving samples out, and the paired bootstrap."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from limbeck.evaluate.intervals import two_way
from limbeck.evaluate.multi_label import auroc, average_precision, by_label, f1, values_of
from limbeck.evaluate.verdict import judge

THEIRS = {
    average_precision: average_precision_score,
    auroc: roc_auc_score,
    f1: lambda truth, scores: f1_score(truth, scores > 0.5),
}
every_figure = pytest.mark.parametrize("figure", THEIRS, ids=lambda one: one.__name__)


def drawn(seed: int, count: int = 200, labels: int = 4, noise: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    truth = (random.random((count, labels)) < np.linspace(0.1, 0.6, labels)).astype(float)
    return 1 / (1 + np.exp(-(2 * truth - 1 + noise * random.normal(size=truth.shape)))), truth


@every_figure
def test_means_are_those_of_scikit_learn(figure) -> None:
    scores, truth = drawn(0)
    each = [THEIRS[figure](truth[:, one], scores[:, one]) for one in range(truth.shape[1])]
    assert values_of(figure, scores, truth).mean() == pytest.approx(np.mean(each))
    for mine, theirs in zip(by_label(figure, scores, truth), each, strict=True):
        assert mine is not None and mine.mean() == pytest.approx(theirs)


@every_figure
@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=4, max_size=30))
def test_what_is_left_without_each_sample_is_scikit_learns_figure_of_the_others(figure, rows) -> None:
    """Scores of five levels, so that most of them are equal to others."""
    scores, truth = np.array([one for one, _ in rows]) / 4, np.array([float(one) for _, one in rows])
    whole, without = figure(scores, truth)
    if 0 < truth.sum() < len(truth):
        assert whole == pytest.approx(THEIRS[figure](truth, scores))
    for row in range(len(rows)):
        rest, others = np.delete(scores, row), np.delete(truth, row)
        if 0 < others.sum() < len(others):
            assert without[row] == pytest.approx(THEIRS[figure](others, rest))


@every_figure
def test_a_label_without_a_sample_tells_nothing(figure) -> None:
    scores, truth = drawn(1)
    bare = truth.copy()
    bare[:, 0] = 0
    assert by_label(figure, scores, bare)[0] is None
    assert values_of(figure, scores, bare).mean() == pytest.approx(
        values_of(figure, scores[:, 1:], truth[:, 1:]).mean()
    )
    assert values_of(figure, scores, np.zeros_like(truth)).tolist() == [0.0] * len(truth)


def test_one_sample_of_a_label_makes_the_figure_uncertain() -> None:
    scores, truth = drawn(2, labels=1)
    truth[:] = 0
    truth[3] = 1
    found = two_way(values_of(average_precision, scores, truth)[None])
    assert found.low is not None and found.low < 0 < found.mean


@every_figure
def test_the_spread_of_a_gain_is_that_of_the_paired_bootstrap(figure) -> None:
    """Two models of the same samples, so the difference varies less than either."""
    random = np.random.default_rng(3)
    (scores, truth), noise = drawn(4, count=300), random.normal(size=(300, 4))
    other = 1 / (1 + np.exp(-(np.log(scores / (1 - scores)) + 0.5 * noise)))
    values = values_of(figure, scores, truth) - values_of(figure, other, truth)
    mine = values.std(ddof=1) / np.sqrt(len(values))
    drawn_gains = []
    for _ in range(400):
        rows = random.integers(300, size=300)
        gains = [values_of(figure, one[rows], truth[rows]).mean() for one in (scores, other)]
        drawn_gains.append(gains[0] - gains[1])
    assert mine == pytest.approx(np.std(drawn_gains), rel=0.2)


@every_figure
def test_intervals_cover_the_truth(figure) -> None:
    """Of 200 data sets drawn from one population, 95 % should have its figure in their interval."""
    truth = values_of(figure, *drawn(0, count=60_000)).mean()
    found = [two_way(values_of(figure, *drawn(seed, count=120))[None]) for seed in range(1, 201)]
    covered = [one.low <= truth <= one.high for one in found]
    assert 0.9 <= np.mean(covered) <= 0.99


def test_a_verdict_over_seeds_and_samples() -> None:
    truth = drawn(5, count=400)[1]

    def seeds(noise: float) -> np.ndarray:
        each = []
        for seed in range(5):
            random = np.random.default_rng(100 + seed)
            scores = 1 / (1 + np.exp(-(2 * truth - 1 + noise * random.normal(size=truth.shape))))
            each.append(values_of(average_precision, scores, truth))
        return np.stack(each)

    found = judge(
        seeds(0.8), {"labels": seeds(1.6)}, validation={"labels": 0.5}, teacher=seeds(0.5), margin=0.01, metric="map"
    )
    assert found.outcome == "helped" and found.ci95[0] < found.gain < found.ci95[1] and found.gap_closed is not None
    assert " points in mean average precision than the control" in found.sentence
    same = judge(
        seeds(1.0), {"labels": seeds(1.0)}, validation={"labels": 0.5}, teacher=None, margin=0.01, metric="map"
    )
    assert same.gain == 0.0 and same.outcome == "equal"


def test_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match="one shape"):
        values_of(f1, np.zeros((3, 2)), np.zeros((2, 2)))
    with pytest.raises(ValueError, match="truth of 0 and 1"):
        values_of(f1, np.zeros((3, 2)), np.full((3, 2), 0.5))
