"""Fits whose terms make inputs that fool the student."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

import limbeck.train.loop as loop
from limbeck.errors import ObjectiveError
from limbeck.models.adapt import Adapted
from limbeck.models.arithmetic import Arithmetic
from limbeck.objectives import (
    AdaptiveAdversarialDistillation,
    AdversarialCrossEntropy,
    AdversariallyRobustDistillation,
    CrossEntropy,
    RobustSoftLabels,
    Trades,
)
from limbeck.objectives.adversarial_term import AdversarialTerm
from limbeck.objectives.base import Term
from limbeck.objectives.objective import Objective
from limbeck.robustness.accuracy import attack_accuracy
from limbeck.robustness.attack import Logits
from limbeck.robustness.named import named_attacks
from limbeck.teachers.module import ModuleTeacher
from limbeck.train.compiled import wants_compiling
from limbeck.train.loop import Budget, Lesson, Progress, fit
from limbeck.train.settings import Settings

MakeLesson = Callable[..., Lesson]
MakeModel = Callable[..., Adapted]
QUICK = Settings(batch_size=16, lr=0.01)
KINDS = [
    AdversarialCrossEntropy, Trades, AdversariallyRobustDistillation, RobustSoftLabels, AdaptiveAdversarialDistillation,
]  # fmt: skip
EPSILON = 0.12


def term(kind: type[AdversarialTerm]) -> Term:
    return kind(epsilon=EPSILON, step_size=0.05, steps=4)


def taught(
    model: Adapted, terms: list[Term], lesson: Lesson, teacher: Adapted, budget: Budget, file: Path | None = None
) -> Progress:
    objective = Objective([(1.0, one) for one in terms])
    asked = ModuleTeacher(teacher, lesson.samples.batch(lesson.rows[:2]).inputs) if objective.needs else None
    return fit(model, objective, lesson, QUICK, budget, teacher=asked, checkpoint=file)


def weights(model: Adapted) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def withstands(model: Adapted, lesson: Lesson) -> float:
    shown = lesson.samples.batch(torch.arange(len(lesson.samples)))
    attacks = named_attacks(["pgd", "margin"], epsilon=EPSILON, steps=10)
    return attack_accuracy(Logits(model), shown.inputs, lesson.samples.labels, attacks=attacks).accuracies["worst"]


def test_students_withstand_what_they_were_made_to(make_lesson: MakeLesson, make_model: MakeModel) -> None:
    """Against the same steps on plain labels; the distilled ones from a teacher that was made to withstand it."""
    lesson, budget = make_lesson(count=240), Budget(400, 400)
    teacher, plain = make_model(1, dropout=0.0), make_model(0, dropout=0.0)
    taught(plain, [CrossEntropy()], lesson, teacher, budget)
    taught(teacher, [term(AdversarialCrossEntropy)], lesson, teacher, budget)
    weak = withstands(plain, lesson)
    for kind in KINDS:
        model = make_model(0, dropout=0.0)
        taught(model, [term(kind)], lesson, teacher, budget)
        assert withstands(model, lesson) > weak + 0.2, kind


@pytest.mark.parametrize("kind", KINDS)
def test_a_resumed_fit_ends_as_one_that_was_not_interrupted(
    kind: type[AdversarialTerm],
    make_lesson: MakeLesson,
    make_model: MakeModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("limbeck.train.loop.CHECKPOINT_SECONDS", 0.0)
    whole, resumed, file, teacher = make_model(0), make_model(0), tmp_path / "checkpoint", make_model(1)
    before = weights(teacher)
    one = taught(whole, [term(kind)], make_lesson(), teacher, Budget(9, 3))
    taught(resumed, [term(kind)], make_lesson(), teacher, Budget(9, 3, stop_at=6), file)
    other = taught(resumed, [term(kind)], make_lesson(), teacher, Budget(9, 3), file)
    assert all(torch.equal(value, weights(whole)[name]) for name, value in weights(resumed).items())
    assert [record["parts"] for record in one.history] == [record["parts"] for record in other.history]
    assert one.asked == other.asked
    assert all(torch.equal(value, before[name]) for name, value in weights(teacher).items())


def test_a_teacher_that_is_asked_on_the_way_is_counted(make_lesson: MakeLesson, make_model: MakeModel) -> None:
    """Once about the batch, at each of four steps, and once about what they led to."""
    found = taught(make_model(0), [term(AdaptiveAdversarialDistillation)], make_lesson(), make_model(1), Budget(3, 3))
    assert found.asked == 3 * 16 * (1 + 4 + 1)


def test_inputs_are_made_in_the_fits_own_arithmetic(
    make_lesson: MakeLesson, make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[torch.dtype] = []
    model = make_model(0)
    model.net.body[0].register_forward_hook(lambda module, given, said: seen.append(said.dtype))
    monkeypatch.setattr(loop, "choose", lambda *_: Arithmetic("bf16", True))
    taught(model, [term(RobustSoftLabels)], make_lesson(), make_model(1), Budget(2, 2))
    steps = [kind for kind in seen if kind == torch.bfloat16]
    assert len(steps) >= 2 * (1 + 4 + 1)
    assert all(torch.isfinite(value).all() for value in model.parameters())


def test_steps_that_ask_the_student_are_not_compiled(
    make_lesson: MakeLesson, make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "wants_compiling", lambda wish, *_: wish != "never")
    found = taught(make_model(0), [term(Trades)], make_lesson(), make_model(1), Budget(1, 1))
    assert not found.compiled
    assert wants_compiling("always", make_model(0), torch.device("cpu"), 1, 1)
    objective, settings = Objective([(1.0, term(Trades))]), Settings(compile="always")
    with pytest.raises(ObjectiveError, match=r"train.compile is always, but trades asks the student itself"):
        fit(make_model(0), objective, make_lesson(), settings, Budget(1, 1))
