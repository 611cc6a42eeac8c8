"""What holds for every transform: the same bits in any order, batch, thread count and process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.data.every import ALL_AT_ONCE, ONE_BY_ONE, hash_of_views, make_samples, with_mixup

from limbeck.data.samples import Samples
from limbeck.data.views import Transform, Views
from limbeck.train.order import Order

SAMPLES = make_samples(23, 3, 9, 8)
ROWS = torch.arange(23)
each = pytest.mark.parametrize("transform", ONE_BY_ONE, ids=str)


@each
@given(order=st.permutations(range(23)), cut=st.integers(0, 23), seed=st.integers(0, 3))
@settings(max_examples=10)
def test_order_and_batch_do_not_matter(transform: Transform, order: list[int], cut: int, seed: int) -> None:
    assert_replayed(SAMPLES, lambda: Views([transform], seed=seed), torch.tensor(order), cut)


@given(order=st.permutations(range(23)), cut=st.integers(0, 23), seed=st.integers(0, 3))
@settings(max_examples=30)
def test_order_and_batch_do_not_matter_with_all_of_them_and_mixup(order: list[int], cut: int, seed: int) -> None:
    assert_replayed(SAMPLES, lambda: with_mixup(SAMPLES, ROWS[:15], seed=seed), torch.tensor(order), cut)


def assert_replayed(samples: Samples, make, order: torch.Tensor, cut: int) -> None:
    view = ROWS % 4
    whole = samples.batch(ROWS, view=view, views=make())
    again = make()
    parts = [samples.batch(part, view=view[part], views=again) for part in (order[:cut], order[cut:])]
    assert torch.equal(torch.cat([part.inputs for part in parts]), whole.inputs[order])
    if whole.share is not None:
        assert torch.equal(torch.cat([part.share for part in parts]), whole.share[order])
        assert torch.equal(torch.cat([part.partner for part in parts]), whole.partner[order])


def test_large_batches_give_the_bits_of_single_samples() -> None:
    samples = make_samples(700, 1, 28, 28)
    rows = torch.arange(700)
    views = with_mixup(samples, rows)
    whole = samples.batch(rows, view=rows % 7, views=views).inputs
    for row in (0, 1, 13, 350, 699):
        one = samples.batch(rows[row : row + 1], view=rows[row : row + 1] % 7, views=views).inputs
        assert torch.equal(one[0], whole[row])


def test_threads_and_processes_do_not_matter() -> None:
    threads = torch.get_num_threads()
    here = {hash_of_views(1), hash_of_views(4)}
    torch.set_num_threads(threads)
    command = [sys.executable, "-m", "tests.data.every", "2"]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=root)
    assert here == {done.stdout.strip()}


@each
@pytest.mark.parametrize(("channels", "height", "width"), [(1, 8, 8), (3, 8, 8), (1, 28, 28), (3, 17, 11)])
def test_shape_type_and_range_are_kept(transform: Transform, channels: int, height: int, width: int) -> None:
    samples = make_samples(5, channels, height, width)
    rows = torch.arange(5)
    untouched = samples.batch(rows).inputs
    before = untouched.clone()
    made = Views([transform])(untouched, samples.keys, torch.ones(5).long())
    assert made.dtype == torch.float32
    assert made.shape == untouched.shape
    assert float(made.min()) >= -1e-6
    assert float(made.max()) <= 1 + 1e-6
    assert torch.equal(untouched, before)


@each
def test_view_0_is_untouched(transform: Transform) -> None:
    view = ROWS % 2
    shown = SAMPLES.batch(ROWS, view=view, views=Views([transform])).inputs
    as_it_is = SAMPLES.batch(ROWS).inputs
    assert torch.equal(shown[view == 0], as_it_is[view == 0])
    assert not torch.equal(shown[view == 1], as_it_is[view == 1])


def test_n_views_are_n_different_pictures_shown_in_turn() -> None:
    views = Views(ALL_AT_ONCE, count=4)
    order = Order(ROWS, seed=1)
    shown: dict[int, set[bytes]] = {row: set() for row in ROWS.tolist()}
    for epoch in range(8):
        rows, showing = order.batch(epoch, len(ROWS))
        assert views.number(showing).tolist() == [epoch % 4] * len(ROWS)
        inputs = SAMPLES.batch(rows, view=views.number(showing), views=views).inputs
        for row, picture in zip(rows.tolist(), inputs, strict=True):
            shown[row].add(picture.numpy().tobytes())
    assert {len(pictures) for pictures in shown.values()} == {4}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
def test_a_gpu_makes_the_same_views_within_rounding() -> None:
    samples = make_samples(300, 3, 32, 32)
    rows = torch.arange(300)
    there = samples.to("cuda")
    here = samples.batch(rows, view=rows % 5, views=with_mixup(samples, rows))
    moved = there.batch(rows.cuda(), view=rows.cuda() % 5, views=with_mixup(samples, rows))
    assert torch.equal(moved.partner.cpu(), here.partner)
    assert torch.equal(moved.share.cpu(), here.share)
    torch.testing.assert_close(moved.inputs.cpu(), here.inputs, atol=1e-4, rtol=0)
