"""What a fit is validated by where labels are no classes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, r2_score
from torch import nn

from limbeck.data.samples import Samples
from limbeck.models.adapt import Adapted
from limbeck.objectives import SquaredError
from limbeck.objectives.objective import Objective
from limbeck.run.multi_label import mean_average_precision
from limbeck.run.regression import explained
from limbeck.train.loop import Budget, Lesson, fit
from limbeck.train.score import Score
from limbeck.train.settings import Settings
from limbeck.types import Record

ROWS = torch.arange(40)


def lesson(score: Score, withheld: bool = False) -> Lesson:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(40, 3, generator=generator)
    labels = inputs @ torch.tensor([[1.0], [-2.0], [0.5]])
    if withheld:
        labels[5] = math.nan
    samples = Samples(inputs, labels, tuple(str(row) for row in range(40)))
    return Lesson(samples, ROWS[:30], ROWS[30:], labels, score=score)


def train(score: Score, **given: Any) -> tuple[Any, list[Record], Adapted]:
    torch.manual_seed(0)
    model, records = Adapted(nn.Linear(3, 1), classes=1), list[Record]()
    settings = Settings(epochs=6, batch_size=10, lr=0.1, schedule="constant")
    progress = fit(
        model, Objective([(1.0, SquaredError())]), lesson(score, **given), settings, Budget(18, 3),
        observers=[records.append],
    )  # fmt: skip
    return progress, records, model


def test_the_epoch_with_the_best_score_is_kept_and_its_figure_is_named() -> None:
    progress, records, model = train(Score("r2", explained))
    figures = [record.accuracy for record in records]
    assert {record.measure for record in records} == {"r2"}
    assert progress.best_accuracy == max(figures) and progress.best_epoch == 1 + figures.index(max(figures))
    taught = lesson(Score("r2", explained))
    with torch.no_grad():
        said = model(taught.samples.inputs[30:]).logits
    assert explained(said, taught.labels[30:]) == pytest.approx(progress.best_accuracy)


def test_a_score_that_falls_a_little_is_no_tie() -> None:
    falling = iter([0.5, 0.499, 0.498, 0.497, 0.496, 0.495])
    progress, _, _ = train(Score("made", lambda said, labels: next(falling)))
    assert progress.best_epoch == 1 and progress.best_accuracy == 0.5


def test_a_row_without_a_label_changes_nothing_but_its_own_part() -> None:
    progress, records, _ = train(Score("r2", explained), withheld=True)
    assert progress.best_accuracy > 0 and all(math.isfinite(record.loss) for record in records)


def test_scores_are_those_of_scikit_learn() -> None:
    random = np.random.default_rng(1)
    truth = random.normal(size=(50, 2))
    truth = (truth - truth.mean(0)) / truth.std(0)
    said = truth + random.normal(size=truth.shape)
    assert explained(torch.from_numpy(said), torch.from_numpy(truth)) == pytest.approx(r2_score(truth, said))
    several = (truth > 0).astype(float)
    several[:, 1] = 0
    found = mean_average_precision(torch.from_numpy(said), torch.from_numpy(several))
    assert found == pytest.approx(average_precision_score(several[:, 0], said[:, 0]))
    assert mean_average_precision(torch.zeros(3, 2), torch.zeros(3, 2)) == 0.0
