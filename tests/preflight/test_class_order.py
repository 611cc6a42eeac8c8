from __future__ import annotations

import pytest
import torch

from limbeck.preflight.class_order import best_order, describe


@pytest.mark.parametrize("seed", range(5))
def test_a_permutation_is_found_again(seed):
    generator = torch.Generator().manual_seed(seed)
    order, top = torch.randperm(7, generator=generator), torch.randint(7, (300,), generator=generator)

    assert best_order(top, order[top], 7).equal(order)


def test_classes_that_never_occur_keep_their_place():
    top = torch.tensor([0, 1, 0, 1])

    assert best_order(top, 1 - top, 5).tolist() == [1, 0, 2, 3, 4]


@pytest.mark.parametrize(
    ("order", "words"),
    [
        ([1, 2, 3, 0], "labels are off by one"),
        ([3, 0, 1, 2], "labels are off by one"),
        ([2, 3, 0, 1], "labels are off by 2"),
        ([1, 0, 2, 3], 'its "a" is "b", its "b" is "a"'),
        ([1, 0], 'its "a" is "b", its "b" is "a"'),
    ],
)
def test_words(order, words):
    assert describe(torch.tensor(order), "abcd"[: len(order)]) == words


def test_many_moved_classes_are_counted():
    order = torch.tensor([1, 0, 3, 2, 5, 4])

    assert describe(order, "abcdef").endswith('its "d" is "c", and 2 more')
