from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import fields

import pytest
import torch
from torch import Tensor, nn

import limbeck.train.loop as loop
from limbeck.data.dataset import Data
from limbeck.data.samples import Samples
from limbeck.data.views import Shift, Views
from limbeck.errors import ObjectiveError, TrainingError
from limbeck.models.adapt import Adapted
from limbeck.models.weights import checksum
from limbeck.objectives import CrossEntropy, SoftLabels, WeightPenalty
from limbeck.objectives.base import Term
from limbeck.objectives.objective import Objective
from limbeck.teachers.module import ModuleTeacher
from limbeck.train.loop import Budget, Lesson, Progress, accuracy, fit
from limbeck.train.order import Order
from limbeck.train.settings import Settings
from limbeck.types import Batch, Knowledge, Outputs, Record

MakeLesson = Callable[..., Lesson]
MakeModel = Callable[..., Adapted]
LABELS = Objective([(1.0, CrossEntropy())])
SETTINGS = Settings(batch_size=16, lr=0.05, optimizer="sgd", schedule="constant")


def vectors(count: int = 80) -> Lesson:
    generator = torch.Generator().manual_seed(1)
    labels = torch.arange(count) % 2
    inputs = torch.randn(count, 4, generator=generator)
    inputs[:, 0] += 6 * (labels.float() - 0.5)
    samples = Samples(inputs, labels, tuple(map(str, range(count))))
    return Lesson(samples, torch.arange(count - 20), torch.arange(count - 20, count), labels)


def linear(seed: int = 0) -> Adapted:
    torch.manual_seed(seed)
    return Adapted(nn.Linear(4, 2), classes=2)


def scripted(monkeypatch: pytest.MonkeyPatch, values: list[float | None]) -> None:
    """Let validation give these accuracies, one an epoch."""
    script: Iterator[float | None] = iter(values)
    monkeypatch.setattr(loop, "accuracy", lambda *_: next(script))


class Snapshots:
    """An observer that keeps the weights after every epoch."""

    def __init__(self, model: Adapted) -> None:
        self.model, self.weights, self.records = model, list[Tensor](), list[Record]()

    def __call__(self, record: Record) -> None:
        self.weights.append(self.model.net.weight.detach().clone())  # type: ignore[operator, union-attr]
        self.records.append(record)


def test_a_separable_problem_is_learnt() -> None:
    model, lesson = linear(), vectors()
    assert (accuracy(model, lesson.samples, lesson.validation, lesson.labels) or 0) < 0.95
    progress = fit(model, LABELS, lesson, SETTINGS, Budget(60, 6))
    assert progress.best_accuracy == accuracy(model, lesson.samples, lesson.validation, lesson.labels) == 1.0
    assert (progress.step, progress.epoch) == (60, 10)
    assert progress.history[-1]["loss"] < 0.5 * progress.history[0]["loss"]


def test_a_fit_is_deterministic_in_its_seed(make_lesson: MakeLesson, make_model: MakeModel) -> None:
    lesson = make_lesson(views=Views([Shift(1)], seed=0))
    models = [make_model() for _ in range(3)]
    for model, seed in zip(models, (4, 4, 5), strict=True):
        torch.rand(3)
        fit(model, LABELS, lesson, Settings(batch_size=16), Budget(9, 3), seed=seed)
    assert checksum(models[0].net) == checksum(models[1].net) != checksum(models[2].net)


def test_it_equals_a_loop_written_by_hand(make_lesson: MakeLesson, make_model: MakeModel) -> None:
    """Same seed and order: equal losses, batch norm and dropout included, and equal weights at the end."""
    views = Views([Shift(1)], seed=0, count=3)
    lesson = make_lesson(views=views, validation=0)
    model, student, teacher = make_model(1), make_model(1), make_model(2).eval()
    objective = Objective([(0.9, SoftLabels(2.0)), (0.1, CrossEntropy()), (1e-3, WeightPenalty())])
    settings = Settings(batch_size=16, lr=0.01, optimizer="adamw", schedule="cosine")
    progress = fit(model, objective, lesson, settings, Budget(8, 1), teacher=ModuleTeacher(make_model(2)), seed=7)

    optimizer = torch.optim.AdamW(student.parameters(), lr=0.01, weight_decay=0.01)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=8)
    order, losses = Order(lesson.rows, 7), []
    torch.manual_seed(7)
    student.train()
    for step in range(8):
        rows, showing = order.batch(step, 16)
        pictures = lesson.samples.inputs[rows].float() / 255
        inputs = views(pictures, lesson.samples.keys[rows], showing % 3)
        logits = student(inputs).logits
        with torch.no_grad():
            target = (teacher(inputs).logits / 2).softmax(1)
        known = lesson.labels[rows] >= 0
        soft = 4 * (target * (target.log() - (logits / 2).log_softmax(1))).sum() / 16
        hard = -logits.log_softmax(1)[known].gather(1, lesson.labels[rows][known][:, None]).mean()
        norm = sum(p.square().sum() for p in student.parameters() if p.ndim > 1)
        loss = 0.9 * soft + 0.1 * hard + 1e-3 * norm
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        losses.append(loss.item())
        parts = {"soft_labels": soft.item(), "cross_entropy": hard.item(), "weight_penalty": norm.item()}
        assert progress.history[step]["parts"] == pytest.approx(parts, rel=1e-4)
    assert [record["loss"] for record in progress.history] == pytest.approx(losses, rel=1e-4)
    for mine, other in zip(model.state_dict().values(), student.state_dict().values(), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-3, atol=1e-5)


def test_the_best_epochs_weights_are_kept_and_a_tie_goes_to_the_later(monkeypatch: pytest.MonkeyPatch) -> None:
    scripted(monkeypatch, [0.5, 0.9, 0.4, 0.9, 0.2])
    model = linear()
    seen = Snapshots(model)
    progress = fit(model, LABELS, vectors(), SETTINGS, Budget(10, 2), observers=[seen])
    assert (progress.best_epoch, progress.best_accuracy, progress.epoch) == (4, 0.9, 5)
    assert torch.equal(model.net.weight, seen.weights[3])  # type: ignore[arg-type]
    assert len({tuple(weights.flatten().tolist()) for weights in seen.weights}) == 5


@pytest.mark.parametrize(
    ("values", "best"),
    [([0.5, 1.0, 0.95, 0.95], 4), ([0.5, 1.0, 0.95, 0.9], 3), ([0.5, 1.0, 0.9, 0.9], 2), ([0.95, 1.0, 0.95, 0.8], 3)],
)
def test_one_validation_sample_is_no_difference(
    monkeypatch: pytest.MonkeyPatch, values: list[float | None], best: int
) -> None:
    scripted(monkeypatch, values)
    lesson = vectors()
    lesson = Lesson(lesson.samples, lesson.rows, torch.arange(20), lesson.labels)
    progress = fit(linear(), LABELS, lesson, SETTINGS, Budget(8, 2))
    assert (progress.best_epoch, progress.best_accuracy, progress.peak_accuracy) == (best, values[best - 1], 1.0)


def test_without_validation_the_last_epoch_is_kept() -> None:
    lesson, model = vectors(), linear()
    lesson = Lesson(lesson.samples, lesson.rows, torch.arange(0), lesson.labels)
    seen = Snapshots(model)
    progress = fit(model, LABELS, lesson, Settings(batch_size=16, patience=1), Budget(8, 2), observers=[seen])
    assert torch.equal(model.net.weight, seen.weights[-1])  # type: ignore[arg-type]
    assert (progress.epoch, progress.best_epoch, progress.best_accuracy) == (4, 4, None)


@pytest.mark.parametrize(
    ("values", "epochs", "best"),
    [([0.5, 0.6, 0.4, 0.4, 0.9], 4, 2), ([0.5, 0.5, 0.5, 0.9], 3, 3), ([0.1, 0.2, 0.3, 0.4, 0.5], 5, 5)],
)
def test_patience(monkeypatch: pytest.MonkeyPatch, values: list[float | None], epochs: int, best: int) -> None:
    scripted(monkeypatch, values)
    progress = fit(linear(), LABELS, vectors(), Settings(batch_size=16, patience=2), Budget(10, 2))
    assert (progress.epoch, progress.best_epoch, progress.step) == (epochs, best, 2 * epochs)


@pytest.mark.parametrize("stop_at", [1, 4, 7])
def test_stop_at_ends_early_on_the_same_schedule(stop_at: int) -> None:
    settings = Settings(batch_size=16, lr=0.1)
    whole = fit(linear(), LABELS, vectors(), settings, Budget(12, 1))
    part = fit(linear(), LABELS, vectors(), settings, Budget(12, 3, stop_at=stop_at))
    assert part.step == stop_at and part.epoch == -(-stop_at // 3)
    assert part.history[-1]["lr"] == whole.history[stop_at - 1]["lr"]
    assert part.history[-1]["epochs"] == 4
    last = stop_at % 3 or 3
    mean = sum(record["loss"] for record in whole.history[stop_at - last : stop_at]) / last
    assert part.history[-1]["loss"] == pytest.approx(mean)


def test_observers_get_every_epochs_figures() -> None:
    model = linear()
    seen = Snapshots(model)
    progress = fit(model, LABELS, vectors(), SETTINGS, Budget(5, 2), name="labels", seed=3, observers=[seen])
    assert [(r.model, r.seed, r.epoch, r.epochs, r.step) for r in seen.records] == [
        ("labels", 3, 1, 3, 2),
        ("labels", 3, 2, 3, 4),
        ("labels", 3, 3, 3, 5),
    ]
    assert all(record.parts["cross_entropy"] == pytest.approx(record.loss) for record in seen.records)
    assert [record["loss"] for record in progress.history] == [record.loss for record in seen.records]
    with pytest.raises(AttributeError):
        seen.records[0].loss = 0.0  # type: ignore[misc]


class Broken(Term):
    def forward(self, student: Outputs, teacher: Knowledge, batch: Batch) -> Tensor:
        return student.logits.mean() * math.nan


def test_a_loss_that_is_not_finite_names_the_term() -> None:
    objective = Objective([(1.0, CrossEntropy()), (0.5, Broken())])
    with pytest.raises(TrainingError) as caught:
        fit(linear(), objective, vectors(), SETTINGS, Budget(4, 2), name="labels", seed=2)
    assert str(caught.value).startswith("Training labels (seed 2) stopped at step 2: ")
    assert "broken is not finite. Lower the learning rate (now 0.05)" in str(caught.value)


def test_a_weight_that_overflows_names_the_loss() -> None:
    with pytest.raises(TrainingError, match="stopped at step 1: the loss is not finite"):
        fit(linear(), Objective([(1e39, CrossEntropy())]), vectors(), SETTINGS, Budget(4, 1))


def test_a_teacher_that_is_missing_is_noticed_before_the_first_step() -> None:
    model = linear()
    before = checksum(model.net)
    with pytest.raises(ObjectiveError, match="soft_labels needs probs"):
        fit(model, Objective([(1.0, SoftLabels())]), vectors(), SETTINGS, Budget(4, 2))
    assert checksum(model.net) == before


class Watched(nn.Module):
    """A module that notes the mode of every call and whether gradients were recorded."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net, self.calls = net, list[tuple[bool, bool]]()
        self.seen = list[Tensor]()

    def forward(self, inputs: Tensor) -> Tensor:
        self.calls.append((self.training, torch.is_grad_enabled()))
        self.seen.append(inputs.detach().clone())
        result: Tensor = self.net(inputs)
        return result


def test_the_student_trains_in_training_mode_and_the_teacher_never_moves(
    make_lesson: MakeLesson, make_model: MakeModel
) -> None:
    student, guide = make_model(0), make_model(1)
    student.net, guide.net = Watched(student.net), Watched(guide.net)
    teacher = ModuleTeacher(guide)
    before = {name: value.clone() for name, value in guide.state_dict().items()}
    objective = Objective([(1.0, SoftLabels()), (0.1, CrossEntropy())])
    fit(student, objective, make_lesson(), SETTINGS, Budget(9, 3), teacher=teacher)
    assert [call for call in student.net.calls if call[1]] == [(True, True)] * 9
    assert {call for call in student.net.calls if not call[1]} == {(False, False)}
    assert set(guide.net.calls) == {(False, False)}
    assert all(torch.equal(value, before[name]) for name, value in guide.state_dict().items())
    assert teacher.current_fingerprint() == teacher.fingerprint
    assert not student.training and not guide.training


def test_teacher_and_student_see_the_same_pixels_each_in_its_own_normalisation(
    make_lesson: MakeLesson, make_model: MakeModel
) -> None:
    student, guide = make_model(0), make_model(1)
    assert guide.normalise is not None
    guide.normalise.mean.fill_(0.1)
    guide.normalise.std.fill_(2.0)
    student.net, guide.net = Watched(student.net), Watched(guide.net)
    lesson = make_lesson(views=Views([Shift(2)], seed=0), validation=0)
    fit(student, Objective([(1.0, SoftLabels())]), lesson, SETTINGS, Budget(4, 4), teacher=ModuleTeacher(guide))
    for mine, other in zip(student.net.seen[-4:], guide.net.seen[-4:], strict=True):
        torch.testing.assert_close(mine * 0.3 + 0.4, other * 2.0 + 0.1)


def test_no_test_sample_reaches_a_fit() -> None:
    names = [field.name for field in fields(Lesson)]
    assert names == ["samples", "rows", "validation", "labels", "views", "score", "choice", "corrupting"]
    generator = torch.Generator().manual_seed(0)
    inputs, labels = torch.randn(90, 4, generator=generator), torch.arange(90) % 3
    data = Data.from_arrays((inputs[:60], labels[:60]), (inputs[60:], labels[60:]), validation=0.2)
    lesson = Lesson(data.pool, data.train, data.validation, data.visible_labels(None, 0))
    watched = Watched(nn.Linear(4, 3))
    fit(Adapted(watched, classes=3), LABELS, lesson, SETTINGS, Budget(12, 4))
    seen = {tuple(row.tolist()) for rows in watched.seen for row in rows}
    assert seen == {tuple(row.tolist()) for row in inputs[:60]}
    trained = {tuple(row.tolist()) for rows, call in zip(watched.seen, watched.calls) if call[0] for row in rows}
    assert trained == {tuple(row.tolist()) for row in data.pool.inputs[data.train]}


def test_withheld_labels_do_not_matter(make_lesson: MakeLesson, make_model: MakeModel) -> None:
    lesson, models = make_lesson(), (make_model(), make_model())
    truth = lesson.samples.labels
    shuffled = torch.where(lesson.labels < 0, (truth + 1) % 3, truth)
    other = Lesson(
        Samples(lesson.samples.inputs, shuffled, lesson.samples.ids), lesson.rows, lesson.validation, lesson.labels
    )
    assert not torch.equal(shuffled, truth)
    for model, given in zip(models, (lesson, other), strict=True):
        fit(model, LABELS, given, SETTINGS, Budget(6, 3))
    assert checksum(models[0].net) == checksum(models[1].net)


def test_progress_starts_at_nothing() -> None:
    assert Progress() == Progress(0, 0, None, None, 0, 0, 0.0, [])
