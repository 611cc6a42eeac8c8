"""Intervals: against scipy where one source of variation is left, and by simulated coverage."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from limbeck.evaluate.intervals import bootstrap, holm, rate, two_way
from limbeck.evaluate.metrics import expected_calibration_error, worst_class_accuracy


def crossed(generator: np.random.Generator, shape: tuple[int, int], seed_sd: float, sample_sd: float) -> np.ndarray:
    """Return values with a true mean of 0: an effect of the seed, one of the sample, and noise of sd 1."""
    seeds, samples = shape
    by_seed = seed_sd * generator.normal(size=(seeds, 1))
    by_sample = sample_sd * generator.normal(size=(1, samples))
    return by_seed + by_sample + generator.normal(size=shape)


def test_one_seed_is_the_one_sample_t_test() -> None:
    values = np.random.default_rng(0).normal(0.3, 1.0, size=(1, 40))
    reference = stats.ttest_1samp(values[0], 0.0)
    found = two_way(values)
    low, high = reference.confidence_interval(0.95)
    assert (found.mean, found.low, found.high) == pytest.approx((values.mean(), low, high))
    assert found.p_value == pytest.approx(reference.pvalue)
    assert found.values == (found.mean,)


def test_seeds_that_dominate_give_the_t_interval_of_the_seed_means() -> None:
    generator = np.random.default_rng(1)
    values = generator.normal(size=(5, 1)) + 1e-4 * generator.normal(size=(5, 200))
    low, high = stats.ttest_1samp(values.mean(axis=1), 0.0).confidence_interval(0.95)
    found = two_way(values)
    assert (found.low, found.high) == pytest.approx((low, high), rel=1e-3)


def test_mean_squares_equal_a_slow_analysis_of_variance() -> None:
    values = crossed(np.random.default_rng(2), (3, 7), 0.5, 0.8)
    spread = two_way(values).spread
    assert spread is not None
    grand, rows, columns = values.mean(), values.mean(axis=1), values.mean(axis=0)
    assert spread.ms_seeds == pytest.approx(7 * sum((r - grand) ** 2 for r in rows) / 2)
    assert spread.ms_samples == pytest.approx(3 * sum((c - grand) ** 2 for c in columns) / 6)
    rest = sum((values[s, n] - rows[s] - columns[n] + grand) ** 2 for s in range(3) for n in range(7))
    assert spread.ms_residual == pytest.approx(rest / 12)


@pytest.mark.parametrize(
    ("shape", "seed_sd", "sample_sd"),
    [
        ((5, 60), 0.3, 1.0),
        ((5, 60), 0.1, 0.5),
        ((5, 60), 1.0, 0.0),
        ((10, 60), 0.2, 1.0),
        ((1, 60), 0.0, 1.0),
    ],
)
def test_ninety_five_percent_of_intervals_cover_the_truth(
    shape: tuple[int, int], seed_sd: float, sample_sd: float
) -> None:
    generator = np.random.default_rng(3)
    found = [two_way(crossed(generator, shape, seed_sd, sample_sd)) for _ in range(1500)]
    covered = np.mean([one.low <= 0.0 <= one.high for one in found])
    assert 0.93 <= covered <= 0.98


@pytest.mark.parametrize("seed_sd", [0.0, 0.3, 1.0])
def test_two_seeds_are_not_taken_for_more_than_they_are(seed_sd: float) -> None:
    generator = np.random.default_rng(4)
    found = [two_way(crossed(generator, (2, 60), seed_sd, 0.5)) for _ in range(800)]
    assert np.mean([one.low <= 0.0 <= one.high for one in found]) >= 0.935


def paired_null(generator: np.random.Generator, shape: tuple[int, int], discordance: float, shared: bool) -> np.ndarray:
    """Return differences of -1, 0, 1 without a true gain; shared: all seeds disagree on the same samples."""
    seeds, samples = shape
    draws = generator.random((1, samples)) if shared else generator.random(shape)
    values = np.where(draws < discordance / 2, 1.0, np.where(draws < discordance, -1.0, 0.0))
    return np.broadcast_to(values, (seeds, samples))


@pytest.mark.parametrize("shape", [(1, 100), (5, 100), (1, 360), (5, 360)])
@pytest.mark.parametrize("shared", [False, True])
def test_few_disagreements_seldom_look_like_a_gain(shape: tuple[int, int], shared: bool) -> None:
    generator = np.random.default_rng(5)
    for discordance in (0.005, 0.03, 0.1):
        found = [two_way(paired_null(generator, shape, discordance, shared)) for _ in range(400)]
        assert np.mean([one.low > 0.0 for one in found]) <= 0.04  # 2.5 % and three standard errors


def test_no_disagreement_at_all_is_not_certainty() -> None:
    found = two_way(np.zeros((5, 100)))
    assert found.low == -found.high
    assert 0.015 < found.high < 0.025
    assert found.p_value == 1.0
    # one disagreement more widens it, however it is spread
    one = np.zeros((1, 100))
    one[0, 3] = 1.0
    assert two_way(one).low < 0.0


@settings(max_examples=50)
@given(st.integers(0, 10_000), st.integers(1, 5), st.integers(2, 30), st.booleans())
def test_interval_properties(seed: int, seeds: int, samples: int, ternary: bool) -> None:
    generator = np.random.default_rng(seed)
    values = generator.normal(size=(seeds, samples))
    if ternary:
        values = np.sign(values) * (np.abs(values) > 1.0)
    found, mirrored = two_way(values), two_way(-values)
    assert found.low <= found.mean <= found.high
    assert (mirrored.low, mirrored.high) == pytest.approx((-found.high, -found.low))
    assert 0.0 <= found.p_value <= 1.0
    assert (found.p_value < 0.05) == (found.low > 0.0 or found.high < 0.0)
    shuffled = two_way(generator.permutation(generator.permutation(values, axis=0), axis=1))
    assert (shuffled.low, shuffled.high) == pytest.approx((found.low, found.high))


def test_one_sample_has_a_mean_and_no_interval() -> None:
    assert (two_way(np.ones((3, 1))).low, rate(np.ones((3, 1))).high) == (None, None)


def test_rate_of_one_seed_is_wilsons_interval() -> None:
    values = np.zeros((1, 2000))
    values[0, :150] = 1.0
    low, high = stats.binomtest(150, 2000).proportion_ci(method="wilson")
    found = rate(values)
    assert (found.low, found.high) == pytest.approx((low, high), abs=2e-4)


def test_all_right_is_not_certainty() -> None:
    found = rate(np.ones((5, 360)))
    assert (found.mean, found.high) == (1.0, 1.0)
    assert 0.985 < found.low < 0.992


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.integers(1, 4), st.integers(2, 30), st.floats(0, 1))
def test_a_rate_and_its_interval_stay_within_bounds(seed: int, seeds: int, samples: int, chance: float) -> None:
    found = rate((np.random.default_rng(seed).random((seeds, samples)) < chance).astype(float))
    assert 0.0 <= found.low <= found.mean <= found.high <= 1.0
    assert found.low < found.high


def guesses(seed: int, seeds: int = 5, samples: int = 400, classes: int = 4) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    labels = generator.integers(classes, size=samples)
    logits = 2.0 * np.eye(classes)[labels] + generator.normal(size=(seeds, samples, classes))
    return np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True), labels


def test_bootstrap_of_a_mean_agrees_with_the_two_way_interval() -> None:
    probabilities, labels = guesses(0)

    def accuracy(chances: np.ndarray, truth: np.ndarray) -> float:
        return float((chances.argmax(axis=1) == truth).mean())

    exact = two_way((probabilities.argmax(axis=2) == labels).astype(float))
    found = bootstrap(accuracy, probabilities, labels, resamples=400)
    assert found.mean == pytest.approx(exact.mean)
    assert found.values == pytest.approx(exact.values)
    assert 0.7 < (found.high - found.low) / (exact.high - exact.low) < 1.4


@pytest.mark.parametrize("metric", [worst_class_accuracy, expected_calibration_error])
def test_bootstrap_surrounds_its_estimate_and_repeats(metric) -> None:
    probabilities, labels = guesses(1)
    found = bootstrap(metric, probabilities, labels)
    assert found.low < found.mean < found.high
    assert found.mean == pytest.approx(np.mean([metric(one, labels) for one in probabilities]))
    assert found == bootstrap(metric, probabilities, labels)


def test_bootstrap_is_fast_enough_for_a_large_test_set() -> None:
    probabilities, labels = guesses(2, samples=10_000, classes=10)
    begun = time.process_time()
    bootstrap(expected_calibration_error, probabilities, labels)
    assert time.process_time() - begun < 4.0


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.5]) == [1.0, 1.0]
    assert holm([]) == []


@settings(max_examples=30)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_never_lowers_and_keeps_the_order(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    assert all(given <= new <= 1.0 for given, new in zip(p_values, adjusted, strict=True))
    assert [adjusted[i] for i in np.argsort(p_values)] == sorted(adjusted)


def test_wrong_arguments_are_explained() -> None:
    with pytest.raises(ValueError, match=r"\[seeds, samples\]"):
        two_way(np.zeros(3))
    with pytest.raises(ValueError, match="seed 0, sample 1 is nan"):
        two_way(np.array([[0.0, np.nan]]))
    with pytest.raises(ValueError, match="0 or 1 only"):
        rate(np.array([[0.5, 1.0]]))
    with pytest.raises(ValueError, match=r"p-values in 0\.\.1"):
        holm([1.5])
    with pytest.raises(ValueError, match=r"\[seeds, samples, classes\]"):
        bootstrap(worst_class_accuracy, np.zeros((2, 3)), np.zeros(3, dtype=int))
