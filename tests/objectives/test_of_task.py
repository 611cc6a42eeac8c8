"""A term about a further task sees that task's head, answers and labels, and nothing else."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from limbeck.data.further import FurtherTask
from limbeck.errors import ObjectiveError
from limbeck.objectives import (
    CrossEntropy,
    CurriculumSoftLabels,
    DecoupledSoftLabels,
    Hint,
    LogitMatching,
    SoftLabels,
    TeacherLabels,
    WeightPenalty,
)
from limbeck.objectives.base import Context, Term
from limbeck.objectives.objective import Objective
from limbeck.objectives.of_task import OfTask
from limbeck.types import Batch, Knowledge, Outputs

PARITY = FurtherTask("parity", ("even", "odd"), torch.tensor([0, 1, 0, -1, -1]))  # of four classes, the last in none
GIVES = frozenset({"logits", "probs", "labels"})


def said(seed: int, classes: int) -> Tensor:
    return torch.randn(6, classes, generator=torch.Generator().manual_seed(seed)).requires_grad_()


@pytest.fixture
def student() -> Outputs:
    return Outputs(logits=said(0, 4), heads={"parity": said(1, 2), "other": said(2, 3)})


@pytest.fixture
def teacher() -> Knowledge:
    return Knowledge(logits=said(3, 4).detach(), heads={"parity": Knowledge(logits=said(4, 2).detach())})


@pytest.fixture
def batch() -> Batch:
    return Batch(torch.zeros(6, 1), torch.tensor([0, 1, 2, 3, -1, 1]))


@pytest.mark.parametrize(
    "term",
    [CrossEntropy(0.1), SoftLabels(), TeacherLabels(), LogitMatching(), DecoupledSoftLabels(), CurriculumSoftLabels()],
    ids=lambda term: type(term).__name__,
)
def test_it_is_the_term_itself_on_that_head_and_its_gradient_reaches_that_head_alone(
    term: Term, student: Outputs, teacher: Knowledge, batch: Batch
) -> None:
    about = OfTask(term, PARITY)
    loss = about(student, teacher, batch)
    own = Batch(batch.inputs, torch.tensor([0, 1, 0, -1, -1, 1]))
    alone = Outputs(logits=student.heads["parity"])
    torch.testing.assert_close(loss, term(alone, teacher.heads["parity"], own))
    assert float(about.counted(teacher, batch)) == float(term.counted(teacher.heads["parity"], own))
    loss.backward()
    assert student.heads["parity"].grad is not None and student.heads["parity"].grad.abs().sum() > 0
    assert student.logits.grad is None and student.heads["other"].grad is None


def test_partners_of_mixed_samples_are_of_the_task_too(student: Outputs, teacher: Knowledge, batch: Batch) -> None:
    partners, share = torch.tensor([1, 1, 1, 1, 1, 0]), torch.full((6,), 0.7)
    mixed = Batch(batch.inputs, batch.labels, partner_labels=partners, share=share)
    own = Batch(batch.inputs, PARITY.labels(torch.tensor([0, 1, 2, 3, -1, 1])), partner_labels=partners, share=share)
    alone = CrossEntropy()(Outputs(logits=student.heads["parity"]), Knowledge(), own)
    torch.testing.assert_close(OfTask(CrossEntropy(), PARITY)(student, teacher, mixed), alone)


def test_it_asks_the_teacher_of_its_task() -> None:
    objective = Objective([(1.0, SoftLabels()), (1.0, OfTask(LogitMatching(), PARITY))])
    assert objective.needs == {"probs", "parity:logits"}
    assert objective.names == ("soft_labels", "logit_matching of parity")
    assert objective.describe() == "1 soft_labels(temperature=4.0, standardise=False) + 1 logit_matching of parity"
    objective.check(GIVES | {"parity:logits"})
    with pytest.raises(ObjectiveError, match="logit_matching of parity needs parity:logits from the teacher"):
        objective.check(GIVES)
    assert objective.tasks == {"parity": PARITY}


def test_each_task_can_be_had_alone() -> None:
    objective = Objective([(0.9, SoftLabels(2.0)), (0.1, CrossEntropy()), (0.5, OfTask(SoftLabels(3.0), PARITY))])
    main, parity = objective.of_task(), objective.of_task("parity")
    assert main is not None and parity is not None
    assert (
        main.describe()
        == "0.9 soft_labels(temperature=2.0, standardise=False) + 0.1 cross_entropy(label_smoothing=0.0)"
    )
    assert parity.describe() == "0.5 soft_labels(temperature=3.0, standardise=False)"
    assert objective.of_task("size") is None
    assert objective.temperatures == {2.0}, "the form of the main teacher's answers is that of its own terms"


def both(*more: tuple[float, Term], balance: str = "none") -> Objective:
    pairs = [(0.9, SoftLabels()), (0.1, CrossEntropy()), (0.3, OfTask(SoftLabels(), PARITY)), *more]
    return Objective(pairs, balance=balance)


def weights(objective: Objective) -> dict[str, float]:
    return dict(zip(objective.names, objective.weights, strict=True))


def test_a_control_learns_all_tasks_in_the_recipes_proportion() -> None:
    objective = both((0.2, OfTask(CrossEntropy(), PARITY)), (0.01, WeightPenalty()))
    found = objective.control()
    assert weights(found) == pytest.approx({"cross_entropy": 1, "weight_penalty": 0.01, "cross_entropy of parity": 0.5})
    assert not found.needs
    smooth = objective.control(label_smoothing=0.1)
    assert smooth.describe().count("label_smoothing=0.1") == 2
    assert both(balance="uncertainty").control().uncertainty is not None


def test_hard_labels_are_those_of_each_tasks_own_teacher() -> None:
    found = both().control(teacher_labels=True)
    assert found.needs == {"labels", "parity:labels"}
    assert weights(found) == pytest.approx(
        {"cross_entropy": 1 / 9, "teacher_labels": 1, "teacher_labels of parity": 0.3}
    )
    untaught = Objective([(1.0, CrossEntropy()), (1.0, OfTask(SoftLabels(), PARITY))]).control(teacher_labels=True)
    assert untaught.needs == {"parity:labels"}


@pytest.mark.parametrize(("task", "name"), [("main", "cross_entropy"), ("parity", "cross_entropy of parity")])
def test_a_network_for_one_task_alone_learns_its_labels(task: str, name: str) -> None:
    assert weights(both().single(task)) == {name: 1.0}


def test_terms_on_what_is_shared_and_students_without_the_head_are_refused(batch: Batch) -> None:
    with pytest.raises(ObjectiveError, match="hint is about what all tasks share"):
        OfTask(Hint(), PARITY)
    with pytest.raises(ObjectiveError, match="cross_entropy of parity expects the student to have a head of that name"):
        OfTask(CrossEntropy(), PARITY)(Outputs(logits=said(0, 4)), Knowledge(), batch)


def test_what_a_term_learns_and_builds_goes_through(student: Outputs, teacher: Knowledge) -> None:
    about = OfTask(CurriculumSoftLabels(), PARITY)
    objective = Objective([(1.0, about)])
    objective.prepare(student, teacher, Context(torch.nn.Linear(1, 1), 6))
    objective(student, teacher, Batch(torch.zeros(6, 1)), epoch=0.0)
    assert objective.learned == {"curriculum_soft_labels of parity": about.term.learned}
