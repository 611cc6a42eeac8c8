"""95 % intervals over seeds and test samples, and Holm's correction for many tests.

Shapes: S seeds, N test samples (the same ones for every seed), C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from limbeck.evaluate.spread import LEVEL, Spread, spread_of

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Interval:
    """A mean over seeds and samples with its 95 % interval.

    values: one figure for each seed. low and high are None where a single test sample tells nothing.
    p_value: two-sided, that the true mean is 0; None where that is not asked. spread: where the interval
    comes from, None for a bootstrap.
    """

    mean: float
    low: float | None
    high: float | None
    values: tuple[float, ...]
    p_value: float | None = None
    spread: Spread | None = None


def two_way(values: Floats) -> Interval:
    """Return the t interval of the mean of values [S, N] with seeds and samples both drawn at random.

    For paired differences and for losses; for plain rates such as an accuracy see `rate`. The method and its
    measured coverage are described in `limbeck.evaluate.spread`. With one seed the interval covers the test
    samples only. Raises ValueError for another shape, no value, or values that are not finite.
    """
    values = _checked(values)
    mean, per_seed = float(values.mean()), _per_seed(values)
    if values.shape[1] < 2:
        return Interval(mean, None, None, per_seed)
    spread = spread_of(values)
    half = spread.half_width()
    return Interval(mean, mean - half, mean + half, per_seed, spread.p_value(mean), spread)


def rate(values: Floats) -> Interval:
    """Return the interval of a rate, 0..1, from values [S, N] of 0 or 1, such as right or wrong.

    Wilson's (1927) score interval with the two-way variance in place of the binomial one, so that it stays in
    0..1 and 360 right out of 360 do not count as certainty. Raises ValueError for other values or shapes.
    """
    values = _checked(values)
    if not np.isin(values, (0.0, 1.0)).all():
        raise ValueError("Expected values of 0 or 1 only; for losses and differences use two_way.")
    mean, per_seed = float(values.mean()), _per_seed(values)
    seeds, samples = values.shape
    if samples < 2:
        return Interval(mean, None, None, per_seed)
    spread = spread_of(values)
    variance = mean * (1.0 - mean)
    quantile = float(special.stdtrit(samples - 1, (1.0 + LEVEL) / 2.0))
    tightness = quantile**2 / samples
    if variance > 0.0:
        tightness = max(tightness / seeds, spread.half_width() ** 2 / variance)
    centre = (mean + tightness / 2.0) / (1.0 + tightness)
    half = float(np.sqrt(tightness * variance + tightness**2 / 4.0)) / (1.0 + tightness)
    low, high = min(max(centre - half, 0.0), mean), max(min(centre + half, 1.0), mean)
    return Interval(mean, low, high, per_seed, None, spread)


def bootstrap(
    metric: Callable[[Floats, Integers], float],
    probabilities: Floats,
    labels: Integers,
    *,
    resamples: int = 200,
    seed: int = 0,
    within: tuple[float, float] = (0.0, 1.0),
) -> Interval:
    """Return the interval of a metric that is no mean over samples, such as the worst class.

    metric: takes probabilities [N, C] and labels [N]. probabilities: [S, N, C]; labels: [N]; within: the least and the
    highest value that the metric can have. Seeds and samples are drawn with replacement independently of each other
    (Owen 2007, "The pigeonhole bootstrap"). Such metrics are biased on resamples (a smallest class gets smaller), so
    the percentiles are moved by the bootstrap's own bias to lie around the estimate. Raises ValueError for other
    shapes.
    """
    probabilities, labels = np.asarray(probabilities), np.asarray(labels)
    if probabilities.ndim != 3 or probabilities.shape[1:2] != labels.shape or probabilities.size == 0:
        raise ValueError(
            f"Expected probabilities [seeds, samples, classes] and labels [samples]; got shapes "
            f"{probabilities.shape} and {labels.shape}."
        )
    values = tuple(float(metric(one, labels)) for one in probabilities)
    mean = float(np.mean(values))
    drawn = _pigeonhole(metric, probabilities, labels, resamples, np.random.default_rng(seed))
    moved = np.clip(drawn - drawn.mean() + mean, *within)
    low, high = np.quantile(moved, [(1.0 - LEVEL) / 2.0, (1.0 + LEVEL) / 2.0])
    return Interval(mean, min(float(low), mean), max(float(high), mean), values)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values, in the order given, adjusted so that the chance of any false claim holds.

    Holm (1979), "A simple sequentially rejective multiple test procedure". Raises ValueError for a value
    outside 0..1.
    """
    given = np.asarray(p_values, dtype=np.float64)
    if given.size and not ((given >= 0.0) & (given <= 1.0)).all():
        raise ValueError(f"Expected p-values in 0..1; got {list(p_values)}.")
    order = np.argsort(given, kind="stable")
    factors = np.arange(len(given), 0, -1)
    adjusted = np.empty_like(given)
    adjusted[order] = np.minimum(np.maximum.accumulate(given[order] * factors), 1.0)
    return [float(value) for value in adjusted]


def _pigeonhole(
    metric: Callable[[Floats, Integers], float],
    probabilities: Floats,
    labels: Integers,
    resamples: int,
    generator: np.random.Generator,
) -> Floats:
    """Return the metric's mean over drawn seeds, [resamples]; a seed drawn twice is computed once."""
    seeds, samples = probabilities.shape[:2]
    figures = np.empty(resamples)
    for i in range(resamples):
        times = np.bincount(generator.integers(seeds, size=seeds), minlength=seeds)
        rows = generator.integers(samples, size=samples)
        shown = labels[rows]
        drawn = np.flatnonzero(times)
        each = [metric(probabilities[one].take(rows, axis=0), shown) for one in drawn]
        figures[i] = np.average(each, weights=times[drawn])
    return figures


def _per_seed(values: Floats) -> tuple[float, ...]:
    return tuple(float(value) for value in values.mean(axis=1))


def _checked(values: Floats) -> Floats:
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 2 or values.size == 0:
        raise ValueError(f"Expected values of shape [seeds, samples], neither of them 0; got {values.shape}.")
    if not np.isfinite(values).all():
        seed, sample = (int(i) for i in np.argwhere(~np.isfinite(values))[0])
        raise ValueError(f"Expected finite values; seed {seed}, sample {sample} is {values[seed, sample]}.")
    return values
