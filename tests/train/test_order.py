from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.train.order import Order

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
