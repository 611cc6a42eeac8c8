from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.data.draws import mix, uniform
from limbeck.data.per_sample import PerSample
from limbeck.data.views import Flip, Shift, Views
from limbeck.errors import DataError

PICTURES = torch.rand(12, 3, 6, 5, generator=torch.Generator().manual_seed(1))
KEYS = torch.randint(-(2**63), 2**63 - 1, (12,), generator=torch.Generator().manual_seed(2))


def splitmix64(state: int) -> int:
    """The published function in plain Python integers."""
    wrap = 2**64 - 1
    state = (state + 0x9E3779B97F4A7C15) & wrap
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & wrap
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & wrap
    return state ^ (state >> 31)


@given(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=8))
@settings(max_examples=50)
def test_mix_is_splitmix64(states: list[int]) -> None:
    golden = 0x9E3779B97F4A7C15
    advanced = np.array([(state + golden) % 2**64 for state in states], dtype=np.uint64).view(np.int64)
    mixed = mix(torch.from_numpy(advanced)).numpy().view(np.uint64)
    assert mixed.tolist() == [splitmix64(state) for state in states]


def test_uniform_numbers_are_uniform_and_uncorrelated() -> None:
    keys = torch.arange(20_000)  # as regular as keys can be
    numbers = uniform(torch.tensor([3, 4]), keys, torch.ones_like(keys))
    assert float(numbers.min()) >= 0 and float(numbers.max()) < 1
    counts = torch.histc(numbers[:, 0], bins=20, min=0, max=1)
    chi_square = float(((counts - 1000) ** 2 / 1000).sum())
    assert chi_square < 43.8  # 19 degrees of freedom, p = 0.001
    later = uniform(torch.tensor([3, 4]), keys, torch.full_like(keys, 2))
    assert abs(np.corrcoef(numbers[:, 0], numbers[:, 1])[0, 1]) < 0.03
    assert abs(np.corrcoef(numbers[:, 0], later[:, 0])[0, 1]) < 0.03
    assert abs(np.corrcoef(numbers[1:, 0], numbers[:-1, 0])[0, 1]) < 0.03


def slow_shift(picture: np.ndarray, down: int, right: int) -> np.ndarray:
    result = np.zeros_like(picture)
    height, width = picture.shape[1:]
    for y in range(height):
        for x in range(width):
            if 0 <= y + down < height and 0 <= x + right < width:
                result[:, y, x] = picture[:, y + down, x + right]
    return result


@given(pixels=st.integers(0, 8), seed=st.integers(0, 10**6))
@settings(max_examples=40)
def test_shift_equals_a_slow_shift(pixels: int, seed: int) -> None:
    numbers = torch.rand(12, 2, generator=torch.Generator().manual_seed(seed))
    moved = Shift(pixels)(PICTURES, numbers)
    for picture, (u, v), got in zip(PICTURES.numpy(), numbers.numpy(), moved.numpy(), strict=True):
        down, right = (int(number * np.float32(2 * pixels + 1)) - pixels for number in (u, v))
        np.testing.assert_array_equal(got, slow_shift(picture, down, right))


def test_every_shift_occurs_about_equally_often() -> None:
    dot = torch.zeros(9000, 1, 5, 5)
    dot[:, :, 2, 2] = 1
    views = Views([Shift(1)])
    keys = torch.arange(9000)
    places = views(dot, keys, torch.ones_like(keys)).flatten(1).argmax(1)
    counts = torch.bincount(places, minlength=25)
    assert (counts > 0).sum() == 9
    assert counts[counts > 0].min() > 880
    assert counts.max() < 1120


def test_flip_mirrors_about_the_asked_share() -> None:
    pictures = torch.tensor([1.0, 0.0]).view(1, 1, 1, 2).expand(5000, -1, -1, -1)
    keys = torch.arange(5000)
    flipped = Views([Flip(0.3)])(pictures, keys, torch.ones_like(keys))[:, 0, 0, 1]
    assert float(flipped.mean()) == pytest.approx(0.3, abs=0.03)
    assert torch.equal(Flip(1.0)(PICTURES, torch.rand(12, 1)), PICTURES.flip(3))
    assert torch.equal(Flip(0.0)(PICTURES, torch.zeros(12, 1)), PICTURES)


def noise(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    return x + torch.rand(x.shape, generator=generator)


ALL = [Shift(2), Flip(), PerSample(noise)]


@given(order=st.permutations(range(12)), cut=st.integers(0, 12), seed=st.integers(0, 5))
@settings(max_examples=30)
def test_views_do_not_depend_on_order_or_batch(order: list[int], cut: int, seed: int) -> None:
    view = torch.arange(12) % 4
    whole = Views(ALL, seed=seed)(PICTURES, KEYS, view)
    rows = torch.tensor(order)
    again = Views(ALL, seed=seed)
    parts = [again(PICTURES[part], KEYS[part], view[part]) for part in (rows[:cut], rows[cut:])]
    assert torch.equal(torch.cat(parts), whole[rows])


def test_view_0_is_untouched_and_others_differ() -> None:
    views = Views(ALL)
    zero, one, two = (views(PICTURES, KEYS, torch.full((12,), view)) for view in range(3))
    assert torch.equal(zero, PICTURES)
    assert not torch.equal(one, PICTURES)
    assert not torch.equal(one, two)
    assert not torch.equal(one, Views(ALL, seed=1)(PICTURES, KEYS, torch.ones(12).long()))


def test_another_transform_leaves_the_numbers_of_the_first() -> None:
    one = torch.ones(12, dtype=torch.long)
    alone = Views([Shift(2)])(PICTURES, KEYS, one)
    beside = Views([Flip(0.0), Shift(2)])(PICTURES, KEYS, one)
    assert torch.equal(alone, beside)


def test_two_of_a_kind_have_numbers_of_their_own() -> None:
    one = torch.ones(12, dtype=torch.long)
    twice = Views([Flip(0.5), Flip(0.5)])(PICTURES, KEYS, one)
    assert not torch.equal(twice, PICTURES)


def test_views_leave_their_inputs_alone() -> None:
    before = PICTURES.clone()
    Views([PerSample(lambda x, generator: x.zero_())])(PICTURES, KEYS, torch.ones(12).long())
    assert torch.equal(PICTURES, before)


def test_a_view_made_today_is_the_view_of_years_ago() -> None:
    picture = torch.arange(25.0).view(1, 1, 5, 5)
    view = Views([Shift(2), Flip()], seed=7)(picture, torch.tensor([123456789]), torch.tensor([3]))
    assert view.view(5, 5).tolist() == [
        [9, 8, 7, 6, 5],
        [14, 13, 12, 11, 10],
        [19, 18, 17, 16, 15],
        [24, 23, 22, 21, 20],
        [0, 0, 0, 0, 0],
    ]


def test_number_of_a_showing() -> None:
    assert Views([], count=4).number(9) == 1
    assert Views([]).number(9) == 9
    assert Views([], count=3).number(torch.arange(5)).tolist() == [0, 1, 2, 0, 1]


def test_an_empty_batch_is_fine() -> None:
    none = torch.zeros(0, dtype=torch.long)
    assert Views(ALL)(PICTURES[:0], none, none).shape == (0, 3, 6, 5)


def test_mistakes_are_sentences() -> None:
    vectors, one = torch.rand(2, 7), torch.ones(2).long()
    for transform, name in ((Shift(), "shift"), (Flip(), "flip")):
        with pytest.raises(DataError, match=rf"{name} works on pictures .* samples are \[7\]"):
            Views([transform])(vectors, one, one)
    with pytest.raises(DataError, match="pixels must be 0 or more"):
        Shift(-1)
    with pytest.raises(DataError, match=r"between 0 and 1, but it is 1.5"):
        Flip(1.5)
    with pytest.raises(DataError, match='"fresh" or a number from 1, but it is 0'):
        Views([], count=0)
    with pytest.raises(DataError, match=r"keep the shape .* \[7\] into \[6\]"):
        Views([PerSample(lambda x, generator: x[1:])])(vectors, one, one)


def test_a_transform_of_the_users_own_works_on_vectors() -> None:
    vectors, one = torch.zeros(12, 4), torch.ones(12).long()
    made = Views([PerSample(noise)])(vectors, KEYS, one)
    assert len(made.unique()) == 48
    assert torch.equal(made, Views([PerSample(noise)])(vectors, KEYS, one))
