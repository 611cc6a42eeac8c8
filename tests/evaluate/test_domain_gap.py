"""The gap between domains, against a loop and against what is known of made domains."""

from __future__ import annotations

import math

import pytest
import torch

from limbeck.evaluate.domain_gap import proxy_distance, unbiased_discrepancy


def draw(count: int, shift: float, seed: int) -> torch.Tensor:
    return torch.randn(count, 4, generator=torch.Generator().manual_seed(seed)) + shift


def test_the_discrepancy_is_that_of_a_loop() -> None:
    source, target = draw(6, 0, 0).double(), draw(5, 1, 1).double()
    both = [*source, *target]
    mean = sum(float((a - b).square().sum()) for a in both for b in both) / len(both) ** 2

    def kernel(a: torch.Tensor, b: torch.Tensor) -> float:
        distance = float((a - b).square().sum())
        return sum(math.exp(-distance / (2 * w * mean)) for w in (0.125, 0.25, 0.5, 1, 2)) / 5

    def within(rows: torch.Tensor) -> float:
        values = [kernel(a, b) for i, a in enumerate(rows) for j, b in enumerate(rows) if i != j]
        return sum(values) / len(values)

    across = [kernel(a, b) for a in source for b in target]
    expected = within(source) + within(target) - 2 * sum(across) / len(across)
    assert unbiased_discrepancy(source, target) == pytest.approx(expected, abs=1e-9)


def test_it_is_nothing_on_average_for_one_domain_and_grows_with_the_shift() -> None:
    alike = [unbiased_discrepancy(draw(60, 0, seed), draw(60, 0, 100 + seed)) for seed in range(30)]
    assert abs(sum(alike) / len(alike)) < 0.003 and min(alike) < 0
    shifts = [unbiased_discrepancy(draw(60, 0, 1), draw(60, shift, 2)) for shift in (0.0, 0.5, 1.0, 3.0)]
    assert shifts == sorted(shifts) and shifts[-1] > 0.2


def test_the_proxy_distance_reaches_from_nothing_to_two() -> None:
    assert proxy_distance(draw(300, 0, 1), draw(100, 9, 2)) == 2
    assert proxy_distance(draw(800, 0, 1), draw(200, 0, 2)) < 0.4
