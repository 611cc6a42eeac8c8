"""What the advisor chooses, and why."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from limbeck.knowledge.advise import MIB, Case, advise

MNIST = Case("auto", 5_000_000, 60_000, 60_000, 1e-4, 1e-7, 20, 2**30, 10**12)


@pytest.mark.parametrize(
    ("change", "mode", "why"),
    [
        ({}, "stored", r"stored \(1.1 MiB\), 6 s of asking and reading instead of 8 min live; later runs with this"),
        (
            {"missing": 0, "asking": None},
            "stored",
            r"stored \(1.1 MiB\), all known already, so the teacher is not as",
        ),
        (
            {"rows": None},
            "live",
            r"live, 5,000,000 samples, since every showing is a new view; data.views with a num",
        ),
        ({"free": None}, "memory", r"in memory \(1.1 MiB\), 6 s .* live; there is no place on disk for them"),
        ({"free": MIB}, "memory", "no place on disk"),
        ({"limit": MIB}, "stored", "stored"),
        ({"limit": MIB, "free": None}, "live", r"live, since 1.1 MiB of answers do not fit into memory$"),
        ({"limit": MIB, "free": MIB}, "live", "do not fit into memory or disk"),
        ({"live": 1280}, "live", r"live, 0.1 s instead of 6 s for all rows"),
        ({"asking": 1e-6, "bytes_per_row": 2000}, "memory", r"in memory .*; writing would take 2 s"),
        ({"reading": 1e-3}, "live", "live"),
        ({"wanted": "memory"}, "memory", r"in memory, as the recipe says \(1.1 MiB\)"),
        ({"wanted": "live"}, "live", r"live, as the recipe says$"),
        ({"wanted": "stored", "free": None}, "stored", r"stored, as the recipe says"),
    ],
)
def test_the_choice(change: dict[str, object], mode: str, why: str) -> None:
    advice = advise(replace(MNIST, **change))  # type: ignore[arg-type]
    assert advice.mode == mode
    assert re.search(why, advice.sentence), advice.sentence


def test_a_tiny_run_stores_too_since_that_costs_next_to_nothing() -> None:
    digits = replace(MNIST, live=57_520, rows=1438, missing=1438, asking=1e-6)
    assert advise(digits).mode == "stored"
    assert digits.seconds_writing < 0.01


def test_a_run_that_asks_about_little_less_than_all_stores_for_later_ones_whatever_the_clock_says() -> None:
    nearly = replace(MNIST, live=108_000, rows=120_000, missing=120_000)
    assert {advise(replace(nearly, asking=asking)).mode for asking in (2e-5, 2e-4, 2e-3)} == {"stored"}
    assert {advise(replace(nearly, live=80_000, asking=asking)).mode for asking in (2e-4, 2e-3)} == {"live"}


def test_the_noise_of_a_clock_moves_no_figure() -> None:
    digits = replace(MNIST, live=57_520, rows=1438, missing=1438)
    for asking, reading in ((1e-6, 1e-7), (1e-6, 3e-6), (1e-7, 8e-6)):
        assert advise(replace(digits, asking=asking, reading=reading)).mode == "stored"
    once = replace(digits, live=1438, asking=1e-4)
    assert {advise(replace(once, reading=reading)).mode for reading in (0.0, 1e-5)} == {"stored"}
