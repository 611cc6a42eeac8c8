"""A temperature that is learned against the student."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from limbeck.errors import ObjectiveError
from limbeck.objectives import CrossEntropy, CurriculumSoftLabels, SoftLabels
from limbeck.objectives.curriculum_soft_labels import reversal, reversed_gradient
from limbeck.objectives.objective import Objective
from limbeck.types import Batch, Knowledge, Outputs

torch.manual_seed(0)
STUDENT, TEACHER = Outputs(torch.randn(8, 5)), Knowledge(logits=3 * torch.randn(8, 5))
BATCH = Batch(torch.zeros(8, 2), torch.zeros(8, dtype=torch.int64))


def gradient(term: CurriculumSoftLabels) -> float:
    term.zero_grad()
    term(STUDENT, TEACHER, BATCH).backward()
    assert term.theta.grad is not None
    return float(term.theta.grad)


def test_the_published_start() -> None:
    assert CurriculumSoftLabels().learned == {"temperature": pytest.approx(1 + 20 / (1 + math.exp(-1)))}


def test_the_value_is_that_of_soft_labels_at_the_temperature() -> None:
    term = CurriculumSoftLabels(1.0, 9.0)
    plain = SoftLabels(term.learned["temperature"])
    torch.testing.assert_close(term(STUDENT, TEACHER, BATCH), plain(STUDENT, TEACHER, BATCH))


def test_the_gradient_of_theta_is_reversed_and_that_of_the_student_is_not() -> None:
    term = CurriculumSoftLabels(1.0, 9.0)
    term.at_epoch(None)
    with torch.no_grad():
        values = []
        for step in (1e-2, -1e-2):
            term.theta.add_(step)
            values.append(float(term(STUDENT, TEACHER, BATCH)))
            term.theta.sub_(step)
    slope = (values[0] - values[1]) / 2e-2
    assert gradient(term) == pytest.approx(-slope, rel=1e-2) and abs(slope) > 1e-4
    logits, same = STUDENT.logits.clone().requires_grad_(True), STUDENT.logits.clone().requires_grad_(True)
    term(Outputs(logits), TEACHER, BATCH).backward()
    SoftLabels(term.learned["temperature"])(Outputs(same), TEACHER, BATCH).backward()
    torch.testing.assert_close(logits.grad, same.grad)


def test_the_reversal_grows_along_a_cosine_and_stays() -> None:
    assert [reversal(one, 10) for one in (0, 5, 10, 99)] == pytest.approx([0, 0.5, 1, 1])
    assert reversal(2, 10) == pytest.approx(0 + 0.5 * 1 * (1 + math.cos((1 + 2 / 10) * math.pi)))  # as in the paper
    term = CurriculumSoftLabels(ramp=4.0)
    full = gradient(term)
    for epoch, share in ((0.0, 0.0), (2.0, 0.5), (4.0, 1.0), (None, 1.0)):
        term.at_epoch(epoch)
        assert gradient(term) == pytest.approx(share * full, abs=1e-9)


def test_reversing_leaves_the_value_to_the_bit() -> None:
    value = torch.tensor([0.1, 1e-8, 3e5], requires_grad=True)
    assert torch.equal(reversed_gradient(value, 0.3), value)


def test_an_objective_says_how_far_training_is() -> None:
    objective = Objective([(0.5, CurriculumSoftLabels(ramp=4.0)), (0.1, CrossEntropy())])
    (term, _) = objective.terms
    assert isinstance(term, CurriculumSoftLabels)
    found = []
    for epoch in (0.0, 2.0, 4.0):
        objective.zero_grad()
        objective(STUDENT, TEACHER, BATCH, epoch=epoch)[0].backward()
        assert term.theta.grad is not None
        found.append(float(term.theta.grad))
    assert found[0] == 0 and found[1] == pytest.approx(found[2] / 2)
    assert objective.learned == {"curriculum_soft_labels": term.learned}
    assert objective.control().learned == {} and not list(objective.control().parameters())


def test_training_moves_the_temperature_to_where_the_loss_is_larger() -> None:
    torch.manual_seed(0)
    student, term = nn.Linear(4, 5), CurriculumSoftLabels(1.0, 9.0, ramp=1.0)
    optimizer = torch.optim.SGD(term.parameters(), lr=0.5)
    inputs = torch.randn(8, 4)
    said = Outputs(student(inputs).detach())
    before = term(said, TEACHER, BATCH).item()
    for _ in range(20):
        optimizer.zero_grad()
        term(said, TEACHER, BATCH).backward()
        optimizer.step()
    assert term(said, TEACHER, BATCH).item() > before
    assert 1 < term.learned["temperature"] < 9


def test_it_needs_all_logits_since_the_top_is_summed_at_listed_temperatures() -> None:
    objective = Objective([(1.0, CurriculumSoftLabels())])
    assert objective.needs_all_logits and not Objective([(1.0, SoftLabels())]).needs_all_logits


def test_temperatures_that_do_not_fit_get_a_sentence() -> None:
    with pytest.raises(ObjectiveError, match="^curriculum_soft_labels expects lowest below highest, got lowest 5 and"):
        CurriculumSoftLabels(5.0, 5.0)
