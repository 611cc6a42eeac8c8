"""What trees are grown from: the weighted mean of what the terms say about each row."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from limbeck.data.samples import Samples
from limbeck.data.views import Shift, Views
from limbeck.errors import ObjectiveError, TrainingError
from limbeck.models import Tree
from limbeck.models.adapt import Adapted, Normalise
from limbeck.objectives import CrossEntropy, EntropyPenalty, SoftLabels, TeacherLabels
from limbeck.objectives.base import Term
from limbeck.objectives.objective import Objective
from limbeck.objectives.schedule import Schedule
from limbeck.teachers.module import ModuleTeacher
from limbeck.train.grown import check_targets, grow, targets_of
from limbeck.train.loop import Lesson, accuracy, predict
from limbeck.types import Batch, Knowledge, Outputs

N, C = 60, 3


def samples() -> Samples:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.rand(N, 1, 4, 4, generator=generator)
    labels = (inputs.flatten(1).sum(1).argsort().argsort() * C) // N
    return Samples(inputs, labels, tuple(map(str, range(N))))


def lesson(known: int = N, views: Views | None = None) -> Lesson:
    pool = samples()
    labels = pool.labels.clone()
    labels[known:] = -1
    return Lesson(pool, torch.arange(0, N - 10), torch.arange(N - 10, N), labels, views)


def teacher() -> ModuleTeacher:
    torch.manual_seed(1)
    return ModuleTeacher(Adapted(nn.Sequential(nn.Flatten(), nn.Linear(16, C)), classes=C))


def student(normalise: Normalise | None = None) -> Adapted:
    return Adapted(Tree((1, 4, 4), C, max_depth=6, min_samples_leaf=1), classes=C, normalise=normalise)


def test_the_target_of_a_row_is_the_mean_of_what_the_terms_say_weighted_as_in_the_loss() -> None:
    shown, known, said = lesson(known=20), 20, teacher()
    objective = Objective([(0.9, SoftLabels(2.0)), (0.3, CrossEntropy(0.1)), (0.2, TeacherLabels())])
    found = targets_of(student(), objective, shown, said)
    logits = said(shown.samples.batch(shown.rows)).logits
    assert logits is not None
    soft, hard = (logits / 2).softmax(1), nn.functional.one_hot(logits.argmax(1), C)
    one_hot = nn.functional.one_hot(shown.labels[shown.rows].clamp_min(0), C) * 0.9 + 0.1 / C
    count = len(shown.rows)
    labelled = (torch.arange(count) < known).float()[:, None]
    total = 0.9 / count * soft + 0.3 / known * labelled * one_hot + 0.2 / count * hard
    weights = total.sum(1)
    torch.testing.assert_close(found.targets.float(), total / weights[:, None])
    torch.testing.assert_close(found.weights.float(), weights / weights.mean())
    assert torch.equal(found.inputs, shown.samples.inputs[shown.rows].flatten(1))


def test_a_row_that_no_term_says_anything_of_is_left_out() -> None:
    found = targets_of(student(), Objective([(1.0, CrossEntropy())]), lesson(known=20), None)
    assert len(found.inputs) == 20 and found.weights.tolist() == [1.0] * 20


def test_nothing_to_grow_from_is_said() -> None:
    with pytest.raises(TrainingError, match="no training row has a label or an answer"):
        targets_of(student(), Objective([(1.0, CrossEntropy())]), lesson(known=0), None)


def test_every_view_is_a_row() -> None:
    shown = lesson(views=Views([Shift(1)], count=3))
    found = targets_of(student(), Objective([(1.0, CrossEntropy())]), shown, None)
    count = len(shown.rows)
    assert len(found.inputs) == 3 * count
    second = shown.samples.batch(shown.rows, view=torch.ones(count, dtype=torch.int64), views=shown.views)
    assert torch.equal(found.inputs[count : 2 * count], second.inputs.flatten(1))
    assert not torch.equal(found.inputs[:count], found.inputs[count : 2 * count])


def test_a_grown_tree_knows_its_lesson_and_is_judged_on_the_validation_rows() -> None:
    shown, model = lesson(), student(Normalise([0.5], [0.3]))
    progress = grow(model, Objective([(1.0, CrossEntropy())]), shown, seed=0)
    assert accuracy(model, shown.samples, shown.rows, shown.labels) == 1.0
    assert progress.best_accuracy == accuracy(model, shown.samples, shown.validation, shown.labels)
    assert (progress.step, progress.epoch, progress.history, progress.asked) == (1, 1, [], 0)


def test_validation_rows_decide_nothing() -> None:
    shown, first, second = lesson(), student(), student()
    objective = Objective([(1.0, CrossEntropy())])
    grow(first, objective, shown)
    grow(second, objective, Lesson(shown.samples, shown.rows, shown.validation[:0], shown.labels))
    assert torch.equal(predict(first, shown.samples), predict(second, shown.samples))


def test_the_logits_are_those_that_say_the_same_at_the_temperature() -> None:
    shown, said, model = lesson(), teacher(), student()
    progress = grow(model, Objective([(1.0, SoftLabels(4.0))]), shown, teacher=said)
    own = predict(model, shown.samples, shown.rows)
    theirs = said(shown.samples.batch(shown.rows)).logits
    assert theirs is not None and progress.asked == len(shown.rows)
    deep = Adapted(Tree((1, 4, 4), C, max_depth=16, min_samples_leaf=1), classes=C)
    grow(deep, Objective([(1.0, SoftLabels(4.0))]), shown, teacher=said)  # a leaf for each row
    torch.testing.assert_close(
        predict(deep, shown.samples, shown.rows).softmax(1), theirs.softmax(1), atol=1e-4, rtol=0
    )
    assert (own.argmax(1) == theirs.argmax(1)).float().mean() > 0.8


class Named(Term):
    def forward(self, student: Outputs, teacher: Knowledge, batch: Batch) -> Tensor:
        return student.logits.mean()


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Objective([(1.0, CrossEntropy()), (0.1, EntropyPenalty())]),
         "Trees learn from a target for each row, and entropy_penalty gives none. Terms that do: cross_entropy, "
         "soft_labels (without standardise), teacher_labels."),
        (lambda: Objective([(1.0, SoftLabels(standardise=True)), (1.0, Named())]), "soft_labels and named gives none"),
        (lambda: Objective([(1.0, SoftLabels(2.0)), (1.0, SoftLabels(4.0))]), "at one temperature, got 2 and 4"),
        (lambda: Objective([(Schedule(0, 1, 5), SoftLabels())]), "weights must be numbers: no schedule, no balance."),
        (lambda: Objective([(1.0, SoftLabels())], balance="gradients"), "no schedule, no balance."),
        (lambda: Objective([(-1.0, CrossEntropy())]), "each weight must be above 0"),
    ],
)  # fmt: skip
def test_what_trees_cannot_learn_from_gets_a_sentence(make: Callable[[], Objective], says: str) -> None:
    with pytest.raises(ObjectiveError) as caught:
        check_targets(make())
    assert says in str(caught.value)


def test_the_seed_reaches_the_library() -> None:
    shown, answers = lesson(), []
    pool = shown.samples
    doubled = Samples(torch.cat([pool.inputs, pool.inputs], 3), pool.labels, pool.ids)  # each question twice: ties
    for seed in (0, 0, 1, 2, 3):
        model = Adapted(Tree((1, 4, 8), C, max_depth=3), classes=C)
        grow(
            model,
            Objective([(1.0, CrossEntropy())]),
            Lesson(doubled, shown.rows, shown.validation, shown.labels),
            seed=seed,
        )
        net = model.net
        assert isinstance(net, Tree)
        answers.append(net.feature.tolist())
    assert answers[0] == answers[1] and len({str(one) for one in answers}) > 1
    assert np.isfinite(answers[0]).all()
