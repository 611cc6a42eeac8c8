from __future__ import annotations

import numpy as np
import pytest
import torch

import limbeck
from limbeck.preflight.duplicates import check_duplicates, check_near_duplicates, nearest, thumbnails
from limbeck.preflight.subject import Subject
from limbeck.run.plan import Plan


def subject(train: np.ndarray, test: np.ndarray) -> Subject:
    data = limbeck.Data.from_arrays((train, np.arange(len(train)) % 2), (test, np.arange(len(test)) % 2))
    plan = Plan(name="x", seeds=(0,), data=data, student=None, stages=())
    return Subject(plan, torch.device("cpu"), None, None)


@pytest.fixture
def noise() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (300, 1, 9, 9), dtype=np.uint8)


@pytest.mark.parametrize(("shared", "level"), [(0, None), (2, "warning"), (20, "fault")])
def test_pictures_in_two_splits(noise, shared, level):
    found = check_duplicates(subject(noise[:200], np.concatenate([noise[:shared], noise[200 + shared :]])))

    assert {finding.level for finding in found} - {"warning"} == ({level} - {"warning", None})
    assert bool(found) is (level is not None)


def test_rows_that_repeat_by_nature_raise_no_alarm():
    few = np.random.default_rng(0).integers(0, 3, (600, 4)).astype(np.float32)

    assert check_duplicates(subject(few[:400], few[400:])) == []


def test_rows_of_numbers_that_were_copied():
    rows = np.random.default_rng(0).normal(size=(300, 4)).astype(np.float32)

    names = [finding.name for finding in check_duplicates(subject(rows[:200], rows[150:300]))]

    assert set(names) == {"duplicates"}


def test_series_of_almost_equal_pictures_in_every_split_are_no_excess(noise):
    series = np.repeat(noise[:60], 5, axis=0).astype(int) + np.random.default_rng(1).integers(0, 9, (300, 1, 9, 9))
    pictures = series.clip(0, 255).astype(np.uint8)[np.random.default_rng(2).permutation(300)]

    assert check_near_duplicates(subject(pictures[:200], pictures[200:])) == []


def test_thumbnails_do_not_see_brightness_and_contrast(noise):
    half = torch.from_numpy(noise).float()

    assert torch.allclose(thumbnails(half), thumbnails(half * 0.5 + 30), atol=1e-5)
    assert len(thumbnails(torch.zeros(3, 1, 9, 9))) == 0


def test_nearest_is_that_of_all_pairs():
    points = torch.rand(300, 5)
    pairs = torch.cdist(points, points) + torch.diag(torch.full((300,), torch.inf))

    assert torch.allclose(nearest(points, points, torch.arange(300)), pairs.min(1).values, atol=1e-5)
