"""Fits whose terms look inside student and teacher."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import limbeck.objectives
from limbeck.errors import ModelError, ObjectiveError, TrainingError
from limbeck.models.adapt import Adapted
from limbeck.models.mlp import MLP
from limbeck.objectives import (
    AttentionTransfer,
    Contrastive,
    CrossEntropy,
    Hint,
    NeuronSelectivity,
    ProbabilisticKnowledge,
    RelationalAngle,
    RelationalDistance,
    Review,
    SharedClassifier,
    SimilarityPreserving,
    Variational,
)
from limbeck.objectives.base import Term
from limbeck.objectives.feature_term import FeatureTerm
from limbeck.objectives.objective import Objective
from limbeck.teachers.module import ModuleTeacher
from limbeck.train.compiled import wants_compiling
from limbeck.train.loop import Budget, Lesson, Progress, fit
from limbeck.train.settings import Settings

MakeLesson = Callable[..., Lesson]
MakeModel = Callable[..., Adapted]
QUICK = Settings(batch_size=16, lr=0.01)


def taught(
    model: Adapted,
    terms: list[tuple[float, Term]],
    lesson: Lesson,
    teacher: Adapted,
    settings: Settings = QUICK,
    budget: Budget = Budget(20, 3),
    checkpoint: Path | None = None,
) -> Progress:
    fast = ModuleTeacher(teacher, lesson.samples.batch(lesson.rows[:2]).inputs)
    return fit(model, Objective(terms), lesson, settings, budget, teacher=fast, checkpoint=checkpoint)


def weights(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def test_a_hint_alone_brings_the_students_layer_near_the_teachers(
    make_lesson: MakeLesson, make_model: MakeModel
) -> None:
    model, teacher = make_model(0, dropout=0.0), make_model(1)
    objective = Objective([(1.0, Hint())])
    lesson = make_lesson()
    found = fit(
        model, objective, lesson, Settings(batch_size=16, lr=0.02), Budget(80, 4), teacher=ModuleTeacher(teacher)
    )
    losses = [record["parts"]["hint"] for record in found.history]
    assert losses[-1] < 0.5 * losses[0]
    assert not model.layers and not teacher.layers, "nobody listens when the fit is over"
    assert [str(pair) for pair in objective.pairs["hint"]] == [
        "body.4.2 [4, 4, 4] with the teacher's body.4.2 [4, 4, 4]"
    ]


def test_teacher_and_its_statistics_stay_as_they_are(make_lesson: MakeLesson, make_model: MakeModel) -> None:
    teacher = make_model(1)
    before = weights(teacher)
    taught(make_model(0), [(1.0, Hint()), (1.0, CrossEntropy())], make_lesson(), teacher)
    assert all(torch.equal(value, before[name]) for name, value in weights(teacher).items())


def test_a_term_of_weight_zero_leaves_the_student_as_it_would_be_without(
    make_lesson: MakeLesson, make_model: MakeModel
) -> None:
    """Projections are drawn aside, so dropout in the student falls as in its controls."""
    with_hint, without = make_model(0), make_model(0)
    taught(with_hint, [(0.0, Hint()), (1.0, CrossEntropy())], make_lesson(), make_model(1))
    fit(without, Objective([(1.0, CrossEntropy())]), make_lesson(), QUICK, Budget(20, 3))
    for name, value in weights(with_hint).items():
        torch.testing.assert_close(value, weights(without)[name], rtol=1e-4, atol=1e-5, msg=name)


@pytest.mark.parametrize("stop", [6, 9])
def test_a_resumed_fit_ends_as_one_that_was_not_interrupted(
    stop: int, make_lesson: MakeLesson, make_model: MakeModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("limbeck.train.loop.CHECKPOINT_SECONDS", 0.0)
    terms: Callable[[], list[tuple[float, Term]]] = lambda: [  # noqa: E731
        (10.0, Hint()), (100.0, AttentionTransfer()), (1.0, CrossEntropy())
    ]  # fmt: skip
    whole, resumed, file = make_model(0), make_model(0), tmp_path / "checkpoint"
    one = taught(whole, terms(), make_lesson(), make_model(1), budget=Budget(14, 3))
    taught(resumed, terms(), make_lesson(), make_model(1), budget=Budget(14, 3, stop_at=stop), checkpoint=file)
    other = taught(resumed, terms(), make_lesson(), make_model(1), budget=Budget(14, 3), checkpoint=file)
    assert all(torch.equal(value, weights(whole)[name]) for name, value in weights(resumed).items())
    assert [record["parts"] for record in one.history] == [record["parts"] for record in other.history]
    assert one.asked == other.asked


EVERY = [
    AttentionTransfer(), Contrastive(dim=8, negatives=16), Hint(), NeuronSelectivity(), ProbabilisticKnowledge(),
    RelationalAngle(), RelationalDistance(), Review(), SimilarityPreserving(), Variational(),
]  # fmt: skip


def test_every_term_on_features_is_tried_here() -> None:
    exported = [getattr(limbeck.objectives, name) for name in limbeck.objectives.__all__]
    features = {kind for kind in exported if issubclass(kind, FeatureTerm)}
    assert {type(term) for term in EVERY} == features - {SharedClassifier}  # which has a network and tests of its own


@pytest.mark.parametrize("term", EVERY, ids=lambda term: type(term).__name__)
def test_every_term_trains_moves_the_student_and_resumes(
    term: FeatureTerm, make_lesson: MakeLesson, make_model: MakeModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("limbeck.train.loop.CHECKPOINT_SECONDS", 0.0)

    def train(budget: Budget, checkpoint: Path | None = None) -> tuple[Progress, dict[str, Tensor]]:
        model = make_model(0)
        terms: list[tuple[float, Term]] = [(1.0, copy.deepcopy(term)), (1.0, CrossEntropy())]
        found = taught(model, terms, make_lesson(), make_model(1), budget=budget, checkpoint=checkpoint)
        return found, weights(model)

    whole, wanted = train(Budget(6, 3))
    train(Budget(6, 3, stop_at=3), tmp_path / "checkpoint")
    again, found = train(Budget(6, 3), tmp_path / "checkpoint")
    assert all(torch.equal(value, wanted[name]) for name, value in found.items())
    assert again.history[-1]["parts"] == whole.history[-1]["parts"]
    plain = make_model(0)
    fit(plain, Objective([(1.0, CrossEntropy())]), make_lesson(), QUICK, Budget(6, 3))
    assert not torch.equal(weights(plain)["net.body.0.0.weight"], wanted["net.body.0.0.weight"])


def test_parts_of_a_batch_give_the_step_of_the_whole(make_lesson: MakeLesson) -> None:
    def plain(seed: int, hidden: int) -> Adapted:
        torch.manual_seed(seed)
        return Adapted(MLP((1, 9, 9), 3, hidden=[hidden]), classes=3)

    lesson, found = make_lesson(), []
    for parts in (1, 3):
        model = plain(0, 6)
        settings = Settings(batch_size=15, lr=0.01, optimizer="sgd", accumulate=parts)
        taught(model, [(1.0, Hint()), (0.1, CrossEntropy())], lesson, plain(1, 8), settings=settings)
        found.append(weights(model))
    for name, value in found[0].items():
        torch.testing.assert_close(found[1][name], value, rtol=1e-4, atol=1e-6)


def test_a_network_that_is_listened_to_is_not_compiled(make_lesson: MakeLesson, make_model: MakeModel) -> None:
    model = make_model(0)
    model.listen_to(["body.2"])
    assert not wants_compiling("auto", model, torch.device("cpu"), 10**12, 10**6)
    with pytest.raises(TrainingError, match=r"train\.compile is always, but a term looks inside the student"):
        taught(make_model(0), [(1.0, Hint())], make_lesson(), make_model(1), settings=Settings(compile="always"))


def test_named_layers_are_taken_and_wrong_names_are_told(make_lesson: MakeLesson, make_model: MakeModel) -> None:
    terms: list[tuple[float, Term]] = [(1.0, Hint(("body.0:body.1",))), (1.0, Hint())]
    objective = Objective(terms)
    fit(make_model(0), objective, make_lesson(), QUICK, Budget(2, 2), teacher=ModuleTeacher(make_model(1)))
    assert [(pair.student, pair.teacher) for pairs in objective.pairs.values() for pair in pairs] == [
        ("body.0", "body.1"), ("body.4.2", "body.4.2"),
    ]  # fmt: skip
    for layers in ("body.0:body.11", "bdy.0:body.1"):
        model = make_model(0)
        with pytest.raises(ModelError, match=r"no layer '.*'; near it are body\."):
            taught(model, [(1.0, Hint((layers,)))], make_lesson(), make_model(1))
        assert not model.layers


def test_a_student_without_a_hidden_layer_is_told(make_lesson: MakeLesson, make_model: MakeModel) -> None:
    model = Adapted(nn.Sequential(nn.Flatten(), nn.Linear(81, 3)), classes=3)
    with pytest.raises(ObjectiveError, match="The student has no layer before its logits"):
        taught(model, [(1.0, Hint())], make_lesson(), make_model(1))
