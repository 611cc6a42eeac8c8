from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from limbeck.data.dataset import Data
from limbeck.data.label_noise import with_label_noise
from limbeck.errors import DataError, UserError
from limbeck.recipe.load import parse_recipe
from limbeck.run.plan import open_data


@pytest.fixture(scope="module")
def digits() -> Data:
    return Data.open("digits")


@pytest.mark.parametrize("share", [0.2, 0.6])
def test_a_share_of_training_labels_is_wrong_and_no_other(digits, share) -> None:
    noisy = with_label_noise(digits, share)
    differs = noisy.pool.labels != digits.pool.labels
    assert int(differs.sum()) == round(share * len(digits.train))
    assert int(differs[digits.train].sum()) == int(differs.sum())
    assert not bool(differs[digits.validation].any())
    assert torch.equal(noisy.test.labels, digits.test.labels)
    assert torch.equal(noisy.train, digits.train)
    assert noisy.fingerprint != digits.fingerprint
    assert noisy.notes[-1].startswith(f"Of {len(digits.train):,} training labels {int(differs.sum())} were given")


def test_all_other_classes_are_equally_likely(digits) -> None:
    noisy = with_label_noise(digits, 0.9)
    wrong = noisy.pool.labels != digits.pool.labels
    steps = (noisy.pool.labels[wrong] - digits.pool.labels[wrong]) % 10
    counts = np.bincount(steps.numpy(), minlength=10)
    assert counts[0] == 0
    assert stats.chisquare(counts[1:]).pvalue > 0.001


def test_more_noise_keeps_what_less_has_flipped_and_the_split_seed_decides(digits) -> None:
    some, more = with_label_noise(digits, 0.2).pool.labels, with_label_noise(digits, 0.4).pool.labels
    flipped = some != digits.pool.labels
    assert torch.equal(some[flipped], more[flipped])
    assert torch.equal(with_label_noise(digits, 0.2).pool.labels, some)
    other = Data.open("digits", split_seed=1)
    truth = dict(zip(digits.pool.ids, digits.pool.labels.tolist(), strict=True))
    there = with_label_noise(other, 0.2)
    again = {name for name, label in zip(there.pool.ids, there.pool.labels.tolist(), strict=True)
             if name in truth and truth[name] != label}  # fmt: skip
    assert again != {name for name, is_wrong in zip(digits.pool.ids, flipped.tolist(), strict=True) if is_wrong}


def test_no_noise_is_no_change_and_withheld_labels_stay_withheld(digits) -> None:
    assert torch.equal(with_label_noise(digits, 0).pool.labels, digits.pool.labels)
    assert with_label_noise(digits, 0).notes == digits.notes
    some = Data.from_arrays((np.zeros((60, 4), np.float32) + np.arange(60)[:, None], [0, 1, -1] * 20))
    noisy = with_label_noise(some, 0.5)
    assert torch.equal(noisy.pool.labels == -1, some.pool.labels == -1)


def test_a_recipe_asks_for_it_and_mistakes_get_a_sentence(digits) -> None:
    recipe = "student: {model: mlp}\nobjective: [cross_entropy]\ndata: {source: digits, label_noise: 0.2%s}\n"
    opened = open_data(parse_recipe(recipe % "").data)
    assert torch.equal(opened.pool.labels, with_label_noise(digits, 0.2).pool.labels)
    with pytest.raises(UserError, match="label_noise would give away hidden classes; expected it without unseen_class"):
        parse_recipe(recipe % ', unseen_classes: ["3"]')
    with pytest.raises(UserError, match="label_noise is for classification, where a sample has one class"):
        parse_recipe(recipe.replace("digits", "diabetes") % ", task: regression")
    with pytest.raises(DataError, match="data.label_noise is a share of the training labels, 0 or more and below 1"):
        with_label_noise(digits, 1.0)
    values = np.arange(30, dtype=np.float32)
    numbers = Data.from_arrays((values[:, None], values), task="regression")
    with pytest.raises(DataError, match="data.label_noise is for classification, but data.task is regression"):
        with_label_noise(numbers, 0.1)
