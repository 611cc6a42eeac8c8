"""How many more seeds or test samples would turn an unclear verdict into a clear one."""

from __future__ import annotations

import math
from dataclasses import dataclass

from limbeck.evaluate.spread import Spread

MOST_SEEDS = 200
MOST_SAMPLES = 1000  # times the present number


@dataclass(frozen=True)
class Wanted:
    """How much more would tell at the present gain; None where that alone would not."""

    seeds: int | None
    samples: int | None


def wanted(gain: float, margin: float, spread: Spread) -> Wanted:
    """Return how many more seeds would tell, or else how many more test samples.

    The interval tells when it lies on one side of zero or inside -margin..margin. Seeds are preferred, up to
    200 more; samples are looked for, up to 1000 times the present number, where seeds would not tell because
    the test set is too small. From one seed nothing is known about seeds, so only samples are given.
    """
    narrow_enough = max(abs(gain), margin - abs(gain))
    seeds = _more_seeds(narrow_enough, spread) if spread.seeds > 1 else None
    samples = _more_samples(narrow_enough, spread) if seeds is None else None
    return Wanted(seeds, samples)


def _more_seeds(narrow_enough: float, spread: Spread) -> int | None:
    for more in range(1, MOST_SEEDS + 1):
        if spread.at(spread.seeds + more, spread.samples).half_width() < narrow_enough:
            return more
    return None


def _more_samples(narrow_enough: float, spread: Spread) -> int | None:
    samples = float(spread.samples)
    while samples < MOST_SAMPLES * spread.samples:
        samples = samples * 1.02 + 1.0
        if spread.at(spread.seeds, int(samples)).half_width() < narrow_enough:
            return _rounded_up(int(samples) - spread.samples)
    return None


def _rounded_up(count: int) -> int:
    """Return the count rounded up to two significant digits: it is an estimate and should look like one."""
    step = int(10 ** max(math.floor(math.log10(count)) - 1, 0))
    return math.ceil(count / step) * step
