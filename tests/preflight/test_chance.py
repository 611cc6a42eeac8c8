from __future__ import annotations

from math import comb

import pytest
import torch

from limbeck.preflight import chance


def outcomes(both: int, first: int, second: int, neither: int):
    one = [True] * (both + first) + [False] * (second + neither)
    other = [True] * both + [False] * first + [True] * second + [False] * neither
    return torch.tensor(one), torch.tensor(other)


@pytest.mark.parametrize(("first", "second", "better"), [(14, 0, True), (13, 0, False), (0, 14, False), (20, 1, True)])
def test_sign_test_on_the_samples_that_differ(first, second, better):
    p = sum(comb(first + second, wins) for wins in range(first, first + second + 1)) / 2 ** (first + second)

    assert chance.clearly_better(*outcomes(40, first, second, 40), margin=0.0) is better
    assert (first > second and p < 1e-4) is better


def test_a_difference_below_the_margin_does_not_count():
    assert chance.clearly_better(*outcomes(5000, 30, 0, 0), margin=0.0)
    assert not chance.clearly_better(*outcomes(5000, 30, 0, 0), margin=0.01)


@pytest.mark.parametrize(("count", "above"), [(20, False), (23, False), (24, True)])
def test_above_a_known_rate(count, above):
    tail = sum(comb(100, k) * 0.1**k * 0.9 ** (100 - k) for k in range(count, 101))

    assert chance.clearly_above(count, 100, 0.1) is above
    assert (tail < 1e-4) is above


def test_more_than_another_share():
    assert chance.clearly_more(30, 100, 5, 100, 0.01)
    assert not chance.clearly_more(8, 100, 5, 100, 0.01)
    assert not chance.clearly_more(30, 100, 5, 100, 0.3)
    assert not chance.clearly_more(0, 0, 5, 100, 0.0)


def test_a_remedy_must_leave_a_teacher_to_trust():
    after, before = outcomes(0, 300, 0, 700)
    good, poor = torch.rand(1000) < 0.95, torch.rand(1000) < 0.3

    assert chance.explains(after, before, poor, 0.02)
    assert not chance.explains(after, before, good, 0.02)
    assert chance.explains(*outcomes(200, 500, 0, 300), good, 0.02)


def test_chance_alone_raises_hardly_an_alarm():
    generator = torch.Generator().manual_seed(0)
    pairs = [torch.rand(2, 400, generator=generator) < 0.8 for _ in range(500)]

    assert sum(chance.clearly_better(one, other, 0.0) for one, other in pairs) <= 1
