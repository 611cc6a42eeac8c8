"""Checkpoints chosen without a label of the target: each figure by a slow reference, and which epoch is kept."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp
from scipy.stats import entropy
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from limbeck.data.samples import Samples
from limbeck.models.adapt import Adapted
from limbeck.objectives import CrossEntropy
from limbeck.objectives.objective import Objective
from limbeck.train import choosing
from limbeck.train.choosing import Choice, certainty, neighbourhood_density, weighted_accuracy
from limbeck.train.loop import Budget, Lesson, fit
from limbeck.train.settings import Settings


def logits(seed: int, count: int = 12, classes: int = 3) -> Tensor:
    return torch.randn(count, classes, generator=torch.Generator().manual_seed(seed)) * 3


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_certainty_is_minus_the_mean_entropy(seed: int) -> None:
    probs = torch.softmax(logits(seed).double(), 1).numpy()
    assert certainty(logits(seed)) == pytest.approx(-float(np.mean([entropy(row) for row in probs])))
    assert certainty(1e3 * torch.eye(3)) == pytest.approx(0, abs=1e-9)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_neighbourhood_density_is_what_loops_over_pairs_give(seed: int) -> None:
    probs = torch.softmax(logits(seed).double(), 1).numpy()
    each = []
    for place, mine in enumerate(probs):
        others = [row for number, row in enumerate(probs) if number != place]
        alike = [row @ mine / (np.linalg.norm(row) * np.linalg.norm(mine)) / 0.05 for row in others]
        each.append(entropy(np.exp(np.array(alike) - logsumexp(alike))))
    assert neighbourhood_density(logits(seed)) == pytest.approx(float(np.mean(each)))


def test_neighbourhood_density_prefers_few_groups_and_most_of_all_a_single_one() -> None:
    groups = 50 * torch.eye(3).repeat(10, 1)
    assert neighbourhood_density(groups) == pytest.approx(math.log(9))
    assert neighbourhood_density(50 * torch.eye(3)[[0] * 30]) == pytest.approx(math.log(29))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000))
def test_weights_are_the_odds_of_the_target(seed: int) -> None:
    source, target = logits(seed, 20), logits(seed + 1, 15) + torch.tensor([1.0, 0, 0])
    labels = torch.arange(20) % 3
    both = torch.cat([source, target]).double().numpy()
    both = (both - both.mean(0)) / (both.std(0, ddof=1) + 1e-7)
    model = LogisticRegression(max_iter=1000).fit(both, [0] * 20 + [1] * 15)
    odds = np.array([p[1] / p[0] for p in model.predict_proba(both[:20])])
    right = (source.argmax(1) == labels).numpy()
    assert weighted_accuracy(source, labels, target) == pytest.approx((odds * right).sum() / odds.sum())


def test_where_the_domains_are_alike_weighted_validation_is_validation() -> None:
    source, labels = logits(3, 40), torch.arange(40) % 3
    plain = float((source.argmax(1) == labels).double().mean())
    assert weighted_accuracy(source, labels, source) == pytest.approx(plain, abs=1e-6)


def lesson(choice: Choice | None) -> Lesson:
    inputs = torch.randn(60, 4, generator=torch.Generator().manual_seed(1))
    labels = (inputs[:, 0] > 0).long()
    labels[40:] = -1
    samples = Samples(inputs, labels, tuple(map(str, range(60))))
    return Lesson(samples, torch.arange(30), torch.arange(30, 40), labels, choice=choice)


@pytest.mark.parametrize("by", ["entropy", "neighbourhood", "weighted"])
def test_the_epoch_with_the_highest_figure_is_kept(by: choosing.Select, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = torch.arange(30, 40)
    choice = Choice(by, torch.arange(40, 60), rows, lesson(None).labels[rows])
    asked: list[list[int]] = []
    figures, states = iter([0.2, 0.9, 0.4, 0.1]), []
    model = Adapted(nn.Linear(4, 2), classes=2)

    def figure(self: Choice, ask: Callable[[Tensor], Tensor]) -> float:
        asked.append(self.target.tolist())
        assert ask(self.target).shape == (20, 2)
        states.append(model.net.weight.detach().clone())
        return next(figures)

    monkeypatch.setattr(Choice, "figure", figure)
    progress = fit(
        model, Objective([(1.0, CrossEntropy())]), lesson(choice), Settings(batch_size=10, lr=0.1), Budget(12, 3)
    )
    assert (progress.best_epoch, progress.peak_accuracy) == (2, 0.9)
    assert torch.equal(model.net.weight, states[1]) and asked == [list(range(40, 60))] * 4
    kept = progress.history[1]["accuracy"]
    assert progress.best_accuracy == kept and [one["measure"] for one in progress.history] == ["accuracy"] * 4


@pytest.mark.parametrize("by", ["entropy", "neighbourhood", "weighted"])
def test_a_choice_asks_for_the_rows_it_says_and_reads_no_label_of_the_target(by: choosing.Select) -> None:
    plain = lesson(None)
    rows = torch.arange(30, 40)
    answers = {tuple(one.tolist()): logits(5, len(one)) for one in (rows, torch.arange(40, 60))}
    figures = []
    for labels in (plain.labels, torch.where(plain.labels < 0, 1, plain.labels)):
        choice = Choice(by, torch.arange(40, 60), rows, labels[rows])
        figures.append(choice.figure(lambda asked: answers[tuple(asked.tolist())]))
    assert figures[0] == figures[1]
    assert replace(plain, choice=None).slack > 0
