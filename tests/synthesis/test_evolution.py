"""Samples that evolve by a teacher's answers alone: bounded questions, classes in balance, the same after a kill."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.synthesis.frames import features, pictures
from torch import Tensor

from limbeck.errors import TrainingError
from limbeck.synthesis import evolution
from limbeck.synthesis.evolution import Population, evolve
from limbeck.synthesis.frame import Frame


def thirds(samples: Tensor) -> Tensor:
    """A teacher of three classes: which third of a sample's values is the largest on average."""
    parts = samples.flatten(1).chunk(3, dim=1)
    return torch.stack([4 * part.mean(dim=1) for part in parts], dim=1).log_softmax(dim=1)


def evolved(frame: Frame, folder: Path, generations: int = 12, ask: Callable[[Tensor], Tensor] = thirds) -> Population:
    return evolve(frame, ask, count=40, classes=3, generations=generations, seed=3, folder=folder)[0]


@pytest.mark.parametrize("frame", [pictures(), pictures(3, 9, 12), features(7)], ids=["grey", "colour", "vector"])
def test_samples_become_what_they_are_to_be(frame: Frame, tmp_path: Path) -> None:
    asked: list[int] = []

    def counted(samples: Tensor) -> Tensor:
        asked.append(len(samples))
        assert samples.shape == (40, *frame.shape)
        if frame.pictures:
            assert torch.equal(samples, frame.shown(frame.stored(samples)))  # asked about what will be kept
        return thirds(samples)

    first, last = (evolved(frame, tmp_path / str(number), number, counted) for number in (1, 30))
    assert asked == [40] * 31
    assert float(last.fitness.mean()) > float(first.fitness.mean()) + 0.3
    assert torch.bincount(last.wanted).tolist() in ([14, 13, 13], [13, 14, 13], [13, 13, 14])
    assert torch.allclose(thirds(last.samples), last.scores)
    assert last.generation == 30


def test_no_sample_gets_worse(tmp_path: Path) -> None:
    each = [evolved(pictures(), tmp_path / str(number), number).fitness for number in (1, 2, 5, 9)]
    for before, after in itertools.pairwise(each):
        assert bool((after >= before).all())


@pytest.mark.parametrize("stop", [2, 7])
def test_a_killed_evolution_comes_to_the_same_samples(
    stop: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = evolved(pictures(), tmp_path / "whole")
    monkeypatch.setattr(evolution, "SAVED_SECONDS", 0.0)
    left = [stop]

    def dying(samples: Tensor) -> Tensor:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return thirds(samples)

    with pytest.raises(KeyboardInterrupt):
        evolved(pictures(), tmp_path / "killed", ask=dying)
    torch.rand(9)  # whatever was drawn in between
    asked: list[int] = []
    again = evolved(pictures(), tmp_path / "killed", ask=lambda samples: (asked.append(1), thirds(samples))[1])
    assert len(asked) == 12 - stop
    assert torch.equal(again.samples, whole.samples) and torch.equal(again.scores, whole.scores)


def test_gauges_are_kept_over_a_kill_and_nothing_else_is_drawn(tmp_path: Path) -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    gauges = evolve(pictures(), thirds, count=40, classes=3, generations=5, seed=0, folder=tmp_path)[1]
    assert torch.equal(torch.rand(3), expected)
    assert [gauge["round"] for gauge in gauges] == [1, 2, 3, 4, 5]
    assert all(gauge["agreement"] is None and 0 < gauge["parts"]["sure"] < 1 for gauge in gauges)


def test_a_teacher_that_sees_one_class_in_all_ends_it(tmp_path: Path) -> None:
    def stubborn(samples: Tensor) -> Tensor:
        return torch.tensor([5.0, 0.0, 0.0]).log_softmax(0).expand(len(samples), 3)

    with pytest.raises(TrainingError, match="stopped in generation .* only 1 of 3 classes"):
        evolved(pictures(), tmp_path, ask=stubborn)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 999), height=st.integers(8, 20), width=st.integers(8, 20), channels=st.sampled_from([1, 3]))
def test_changes_stay_in_range_and_change_something(seed: int, height: int, width: int, channels: int) -> None:
    frame = pictures(channels, height, width)
    torch.manual_seed(seed)
    samples = torch.rand(30, channels, height, width)
    shaken = evolution._shaken(frame, samples)
    assert float(shaken.min()) >= 0 and float(shaken.max()) <= 1
    assert bool((shaken != samples).flatten(1).any(dim=1).all())
    others = samples.flip(0)
    crossed = evolution._crossed(frame, samples, others)
    assert bool(((crossed == samples) | (crossed == others)).all())
