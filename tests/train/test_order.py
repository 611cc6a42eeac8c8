from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.train.order import Halves, Order, order_of

counts = st.integers(1, 40)
sizes = st.integers(1, 50)
seeds = st.integers(0, 2**40)


@given(counts, sizes, seeds)
@settings(max_examples=60)
def test_every_pass_shows_every_row_once(count: int, size: int, seed: int) -> None:
    rows = 3 * torch.arange(count) + 7
    order, steps = Order(rows, seed), -(-3 * count // size)
    shown = [order.batch(step, size) for step in range(steps)]
    assert all(len(batch) == len(showing) == size for batch, showing in shown)
    stream, showings = torch.cat([batch for batch, _ in shown]), torch.cat([showing for _, showing in shown])
    for number in range(3):
        assert torch.equal(stream[number * count : (number + 1) * count].sort().values, rows)
    assert torch.equal(showings, torch.arange(steps * size) // count)


@given(counts, sizes, seeds, st.lists(st.integers(0, 12), min_size=1, max_size=6))
@settings(max_examples=60)
def test_a_batch_does_not_depend_on_what_was_asked_before(count: int, size: int, seed: int, steps: list[int]) -> None:
    order = Order(torch.arange(count), seed)
    for step in steps:
        used, fresh = order.batch(step, size), Order(torch.arange(count), seed).batch(step, size)
        assert all(torch.equal(a, b) for a, b in zip(used, fresh, strict=True))


def test_the_showing_counts_how_often_a_row_was_shown_before() -> None:
    order, seen = Order(torch.arange(7), 3), dict.fromkeys(range(7), 0)
    for step in range(20):
        for row, showing in zip(*(part.tolist() for part in order.batch(step, 5)), strict=True):
            assert showing == seen[row]
            seen[row] += 1


def test_seeds_and_passes_have_orders_of_their_own() -> None:
    orders = [
        tuple(Order(torch.arange(50), seed).batch(step, 50)[0].tolist()) for seed in range(3) for step in range(3)
    ]
    assert len(set(orders)) == 9


def test_the_global_random_state_is_neither_read_nor_moved() -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = Order(torch.arange(9), 0).batch(0, 9)[0]
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert torch.equal(Order(torch.arange(9), 0).batch(0, 9)[0], first)


@pytest.mark.parametrize("size", [1, 7, 8])
def test_batches_are_half_of_each_domain_and_show_all(size: int) -> None:
    rows = torch.arange(20)
    order = order_of(rows, (rows >= 14).long(), seed=3)
    assert isinstance(order, Halves)
    seen: list[int] = []
    for step in range(40):
        shown, times = order.batch(step, size)
        assert len(shown) == len(times) == size
        assert int((shown >= 14).sum()) == size // 2
        assert (shown[:2] >= 14).tolist() == [False, True][:size]
        seen += shown.tolist()
    assert set(seen) >= set(range(14)) and (size == 1 or set(seen) == set(range(20)))
    assert torch.equal(order.batch(2, size)[0], order_of(rows, (rows >= 14).long(), seed=3).batch(2, size)[0])


def test_one_domain_alone_is_shown_as_ever() -> None:
    rows = torch.arange(5)
    for domains in (None, torch.zeros(9, dtype=torch.int64), torch.ones(9, dtype=torch.int64)):
        order = order_of(rows, domains, seed=3)
        assert isinstance(order, Order) and torch.equal(order.batch(1, 4)[0], Order(rows, 3).batch(1, 4)[0])
