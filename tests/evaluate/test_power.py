"""The number of seeds or samples that is asked for is the smallest that tells."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.evaluate.power import wanted
from limbeck.evaluate.spread import Spread


def spread(seeds: int = 5, ms_seeds: float = 0.4, ms_samples: float = 0.1, ms_residual: float = 0.05) -> Spread:
    return Spread(seeds, 1000, ms_seeds, ms_samples, ms_residual, rare=0.1)


@settings(max_examples=30)
@given(st.floats(0.001, 0.02))
def test_one_seed_fewer_would_not_tell(gain: float) -> None:
    now = spread()
    more = wanted(gain, 0.001, now).seeds
    if more is not None:
        assert now.at(5 + more, 1000).half_width() < gain
        assert more == 1 or now.at(5 + more - 1, 1000).half_width() >= gain


def test_a_gain_near_zero_may_be_told_to_be_inside_the_margin() -> None:
    assert wanted(0.0, 0.02, spread()).seeds is not None
    assert wanted(0.0, 0.0, spread()).seeds is None


def test_samples_are_asked_for_where_they_are_what_is_missing() -> None:
    now = spread(ms_seeds=0.05, ms_samples=5.0)
    more = wanted(0.005, 0.001, now)
    assert more.seeds is None
    assert now.at(5, 1000 + more.samples).half_width() < 0.005
    assert now.at(5, 1000 + int(0.9 * more.samples)).half_width() >= 0.005
    assert len(str(more.samples).rstrip("0")) <= 2


def test_one_seed_knows_nothing_of_seeds() -> None:
    one = Spread(1, 100, 0.0, 0.1, 0.0, rare=1.0)
    more = wanted(0.04, 0.005, one)
    assert more.seeds is None
    assert more.samples is not None


def test_neither_alone_may_be_enough() -> None:
    assert wanted(0.0001, 0.0001, spread(ms_seeds=50.0, ms_samples=50.0)) == wanted(0.0, 0.0, spread())


def test_the_same_number_gives_the_same_spread() -> None:
    now = spread()
    assert now.at(5, 1000).half_width() == pytest.approx(now.half_width())
