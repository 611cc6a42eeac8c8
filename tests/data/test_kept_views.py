from __future__ import annotations

from unittest.mock import Mock

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.data.every import ALL_AT_ONCE, make_samples

import limbeck.data.kept_views as kept_views
from limbeck.data.kept_views import KeptViews, room_for
from limbeck.data.mixup import Mixup, Partners
from limbeck.data.views import Views

SAMPLES = make_samples(20, 1, 9, 8)


@given(st.lists(st.lists(st.tuples(st.integers(0, 19), st.integers(0, 3)), min_size=1, max_size=9), max_size=6))
@settings(max_examples=40)
def test_kept_views_are_those_that_are_made_anew(batches: list[list[tuple[int, int]]]) -> None:
    partners = Partners.among(torch.arange(15), SAMPLES.keys, SAMPLES.labels)
    anew = Views([*ALL_AT_ONCE, Mixup()], count=4, partners=partners)
    once = Views([*ALL_AT_ONCE, Mixup()], count=4, partners=partners, kept=KeptViews(SAMPLES.inputs, 4))
    for batch in batches:
        rows, view = (torch.tensor(part) for part in zip(*batch, strict=True))
        wanted, found = (SAMPLES.batch(rows, view=view, views=views) for views in (anew, once))
        assert torch.equal(found.inputs, wanted.inputs)


def test_each_view_is_made_once_and_reading_it_gives_a_copy() -> None:
    make = Mock(side_effect=lambda rows, view: torch.ones(len(rows), 1, 9, 8) * (10 * view + rows).view(-1, 1, 1, 1))
    room = KeptViews(SAMPLES.inputs, 3)
    first = room(torch.tensor([2, 5]), torch.tensor([1, 0]), make)
    first.zero_()
    again = room(torch.tensor([5, 2, 2]), torch.tensor([0, 1, 2]), make)
    assert again[:, 0, 0, 0].tolist() == [5, 12, 22]
    assert [call.args[0].tolist() for call in make.call_args_list] == [[2, 5], [2]]


def test_other_samples_do_not_get_them() -> None:
    views = Views(ALL_AT_ONCE, count=2, kept=KeptViews(SAMPLES.inputs, 2))
    rows = torch.arange(5)
    SAMPLES.batch(rows, view=torch.ones_like(rows), views=views)
    other = make_samples(21, 1, 9, 8)
    found = other.batch(rows, view=torch.ones_like(rows), views=views)
    assert torch.equal(found.inputs, other.batch(rows, view=torch.ones_like(rows), views=Views(ALL_AT_ONCE)).inputs)


def test_there_is_room_only_for_a_share_of_free_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    needed = 4 * 3 * 20 * 72
    monkeypatch.setattr(kept_views.os, "cpu_count", lambda: 2)
    for free, wanted in ((4 * needed, True), (4 * needed - 8, False)):
        monkeypatch.setattr(kept_views.psutil, "virtual_memory", lambda free=free: Mock(available=free))
        assert (room_for(SAMPLES.inputs, 3) is not None) == wanted
