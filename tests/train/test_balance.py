"""Fits whose weights change or are shares of the gradient: the figures of each epoch, and going on after a stop."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest
import torch

import limbeck.train.loop as loop
from limbeck.errors import ObjectiveError
from limbeck.models.adapt import Adapted
from limbeck.models.weights import checksum
from limbeck.objectives import CrossEntropy, SoftLabels
from limbeck.objectives.objective import Objective
from limbeck.objectives.schedule import Schedule
from limbeck.teachers.module import ModuleTeacher
from limbeck.train import ranks
from limbeck.train.loop import Budget, Lesson, Progress, fit
from limbeck.train.settings import Settings
from limbeck.types import Record

MakeLesson = Callable[..., Lesson]
MakeModel = Callable[..., Adapted]
SETTINGS = Settings(batch_size=16, lr=0.02)


def stop(record: Record) -> None:
    if record.epoch == 3:
        raise KeyboardInterrupt


def objective(balance: Literal["none", "gradients"] = "gradients") -> Objective:
    return Objective([(Schedule(0.2, 0.8, 3), SoftLabels()), (0.2, CrossEntropy())], balance=balance)


def run(lesson: Lesson, model: Adapted, teacher: Adapted, path: Path | None = None, *observers: object) -> Progress:
    return fit(
        model, objective(), lesson, SETTINGS, Budget(15, 3), teacher=ModuleTeacher(teacher), seed=3, checkpoint=path,
        observers=observers,  # type: ignore[arg-type]
    )  # fmt: skip


def test_an_interrupted_fit_goes_on_with_what_it_had_measured(
    make_lesson: MakeLesson, make_model: MakeModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", -1.0)
    monkeypatch.setattr(loop, "EVERY", 4)
    lesson, whole, broken = make_lesson(), make_model(), make_model()
    unbroken = run(lesson, whole, make_model(9))
    with pytest.raises(KeyboardInterrupt):
        run(lesson, broken, make_model(9), tmp_path / "fit", stop)
    resumed = run(lesson, make_model(1), make_model(9), tmp_path / "fit")
    drop = {"seconds"}
    for one, other in zip(unbroken.history, resumed.history, strict=True):
        assert {k: v for k, v in one.items() if k not in drop} == {k: v for k, v in other.items() if k not in drop}


def test_the_weights_of_a_resumed_fit_are_those_of_an_unbroken_one(
    make_lesson: MakeLesson, make_model: MakeModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", -1.0)
    lesson, whole, again = make_lesson(), make_model(), make_model(1)
    run(lesson, whole, make_model(9))
    with pytest.raises(KeyboardInterrupt):
        run(lesson, make_model(), make_model(9), tmp_path / "fit", stop)
    run(lesson, again, make_model(9), tmp_path / "fit")
    assert checksum(whole.net) == checksum(again.net)


def test_each_epoch_tells_what_was_measured(
    make_lesson: MakeLesson, make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "EVERY", 2)
    found = [record["gradients"] for record in run(make_lesson(), make_model(), make_model(9)).history]
    assert len(found) == 5 and len({one["norms"]["soft_labels"] for one in found}) == 5
    assert all(-1 <= one["cosines"]["soft_labels, cross_entropy"] <= 1 for one in found)
    for one, share in zip(found, (0.4, 0.6, 0.8, 0.8, 0.8), strict=True):
        pulls = {name: one["weights"][name] * one["norms"][name] for name in one["norms"]}
        assert pulls["soft_labels"] / pulls["cross_entropy"] == pytest.approx(share / 0.2, rel=1e-4)


def test_a_schedule_takes_effect_at_its_epoch(make_lesson: MakeLesson, make_model: MakeModel) -> None:
    steps = Objective([(Schedule(0, 2, 2, "step"), SoftLabels()), (1.0, CrossEntropy())])
    taught = fit(make_model(), steps, make_lesson(), SETTINGS, Budget(12, 3), teacher=ModuleTeacher(make_model(9)))
    for record, weight in zip(taught.history, (0, 0, 2, 2), strict=True):
        parts = record["parts"]
        assert record["loss"] == pytest.approx(weight * parts["soft_labels"] + parts["cross_entropy"], rel=1e-4)
        assert record["gradients"] is None


def test_a_batch_in_parts_has_the_shares_of_its_first_part(make_lesson: MakeLesson, make_model: MakeModel) -> None:
    lesson, settings = make_lesson(), Settings(batch_size=16, accumulate=2)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(81, 3))
    found = fit(
        Adapted(model, classes=3), objective(), lesson, settings, Budget(3, 3), teacher=ModuleTeacher(make_model(9))
    )
    assert found.history[0]["gradients"]["norms"]["soft_labels"] > 0


def test_what_cannot_be_measured_is_refused(
    make_lesson: MakeLesson, make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def attempt(settings: Settings) -> None:
        fit(make_model(), objective(), make_lesson(), settings, Budget(3, 3), teacher=ModuleTeacher(make_model(9)))

    with pytest.raises(ObjectiveError, match="train.compile is always, but balance: gradients"):
        attempt(Settings(compile="always"))
    monkeypatch.setattr(ranks, "world", lambda: 2)
    with pytest.raises(ObjectiveError, match="one process alone"):
        attempt(Settings())
