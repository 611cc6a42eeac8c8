from __future__ import annotations

import pytest
import torch
from torch import nn

from limbeck.errors import ObjectiveError
from limbeck.objectives import (
    CrossEntropy,
    EntropyPenalty,
    LogitMatching,
    SoftLabels,
    TeacherLabels,
    WeightPenalty,
)
from limbeck.objectives.base import Context, Term, snake_case
from limbeck.objectives.objective import Objective, terms_for
from limbeck.types import Batch, Knowledge, Outputs

STUDENT = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
TEACHER = Knowledge(logits=torch.randn(6, 4, generator=torch.Generator().manual_seed(1)))
BATCH = Batch(torch.zeros(6, 2), torch.tensor([0, 1, 2, 3, 0, -1]))


def test_the_loss_is_the_weighted_sum_of_its_terms() -> None:
    logits = STUDENT.clone().requires_grad_(True)
    terms = [(0.9, SoftLabels()), (0.1, CrossEntropy()), (-0.2, EntropyPenalty())]
    loss, parts = Objective(terms)(Outputs(logits), TEACHER, BATCH)
    values = [term(Outputs(logits), TEACHER, BATCH) for _, term in terms]
    torch.testing.assert_close(loss, 0.9 * values[0] + 0.1 * values[1] - 0.2 * values[2])
    assert list(parts) == ["soft_labels", "cross_entropy", "entropy_penalty"]
    for part, value in zip(parts.values(), values, strict=True):
        assert not part.requires_grad and torch.equal(part, value.detach())
    assert loss.requires_grad


def test_names_are_unique() -> None:
    terms = [SoftLabels(1.0), CrossEntropy(), SoftLabels(4.0), SoftLabels(8.0)]
    objective = Objective([(1.0, term) for term in terms])
    assert objective.names == ("soft_labels", "cross_entropy", "soft_labels_2", "soft_labels_3")
    assert len(objective(Outputs(STUDENT), TEACHER, BATCH)[1]) == 4


@pytest.mark.parametrize(
    ("name", "wanted"), [("SoftLabels", "soft_labels"), ("DIST", "dist"), ("Top5Loss", "top5_loss")]
)
def test_snake_case(name: str, wanted: str) -> None:
    assert snake_case(name) == wanted


@pytest.mark.parametrize(
    ("terms", "sentence"),
    [
        ([], "An objective expects at least one term, got none; [(1.0, CrossEntropy())] trains on labels."),
        ([CrossEntropy()], "An objective expects pairs (weight, term), got CrossEntropy()."),
        ([(1.0, "soft_labels")], "An objective expects pairs (weight, term), got (1.0, 'soft_labels')."),
    ],
)
def test_what_is_no_pair_is_refused(terms: list[tuple[float, Term]], sentence: str) -> None:
    with pytest.raises(ObjectiveError) as caught:
        Objective(terms)
    assert str(caught.value) == sentence


def test_a_teacher_that_cannot_serve_a_term_is_refused_word_for_word() -> None:
    objective = Objective([(0.5, CrossEntropy()), (0.5, LogitMatching())])
    with pytest.raises(ObjectiveError) as caught:
        objective.check(frozenset({"labels"}))
    assert str(caught.value) == (
        "logit_matching needs logits from the teacher, which gives labels. "
        f"Terms that would work: {', '.join(terms_for(frozenset({'labels'})))}."
    )
    with pytest.raises(ObjectiveError, match=r"needs probs from the teacher, which gives nothing \(there is none\)\."):
        Objective([(1.0, SoftLabels())]).check(frozenset())
    Objective([(1.0, SoftLabels()), (1.0, LogitMatching())]).check(frozenset({"logits", "probs"}))
    Objective([(1.0, CrossEntropy())]).check(frozenset())


def test_terms_for_lists_what_works() -> None:
    assert {"cross_entropy", "entropy_penalty", "weight_penalty"} <= set(terms_for(frozenset()))
    assert not {"soft_labels", "teacher_labels", "logit_matching"} & set(terms_for(frozenset()))
    assert "teacher_labels" in terms_for(frozenset({"labels"}))


def test_needs_and_unlabelled_are_those_of_the_terms() -> None:
    both = Objective([(1, SoftLabels(standardise=True)), (1, TeacherLabels())])
    assert both.needs == {"logits", "labels"} and both.uses_unlabelled
    plain = Objective([(1, CrossEntropy()), (0.1, WeightPenalty())])
    assert plain.needs == frozenset() and not plain.uses_unlabelled


def test_the_description_says_weights_and_options() -> None:
    objective = Objective([(0.9, SoftLabels(2.0)), (0.001, WeightPenalty()), (1, LogitMatching())])
    assert objective.describe() == (
        "0.9 soft_labels(temperature=2.0, standardise=False) + 0.001 weight_penalty(exclude_norm_and_bias=True) "
        "+ 1 logit_matching"
    )


def test_a_control_keeps_what_needs_no_teacher() -> None:
    objective = Objective(
        [(0.7, SoftLabels()), (0.1, CrossEntropy(0.05)), (0.2, EntropyPenalty()), (0.01, WeightPenalty(False))]
    )
    control = objective.control()
    assert control.describe() == (
        "1 cross_entropy(label_smoothing=0.05) + 0.2 entropy_penalty + 0.01 weight_penalty(exclude_norm_and_bias=False)"
    )
    assert control.needs == frozenset()
    assert not set(map(id, control.terms)) & set(map(id, objective.terms))


def test_a_control_trains_on_labels_even_where_the_student_does_not() -> None:
    assert Objective([(1.0, SoftLabels())]).control().describe() == "1 cross_entropy(label_smoothing=0.0)"


def test_controls_with_smoothing_and_with_hard_teacher_labels() -> None:
    objective = Objective([(0.9, SoftLabels()), (0.1, CrossEntropy(0.05))])
    assert objective.control(label_smoothing=0.1).describe() == "1 cross_entropy(label_smoothing=0.1)"
    hard = objective.control(teacher_labels=True)
    assert hard.describe() == "0.111111 cross_entropy(label_smoothing=0.05) + 1 teacher_labels"
    assert hard.needs == {"labels"}


def test_hard_teacher_labels_take_the_place_of_the_terms_that_ask_the_teacher() -> None:
    taught_alone = Objective([(1.0, SoftLabels()), (0.1, EntropyPenalty())])
    assert taught_alone.control(teacher_labels=True).describe() == "0.1 entropy_penalty + 1 teacher_labels"
    mostly_labels = Objective([(0.01, LogitMatching()), (1.0, CrossEntropy())])
    control = mostly_labels.control(teacher_labels=True)
    assert control.describe() == "1 cross_entropy(label_smoothing=0.0) + 1 teacher_labels"


def test_the_control_of_hard_labels_is_the_objective_of_hard_labels() -> None:
    """Otherwise a stage that is taught by hard labels alone would report a gain of soft knowledge."""
    hard = Objective([(0.9, TeacherLabels()), (0.1, CrossEntropy())])
    control = hard.control(teacher_labels=True)
    weights = dict(zip(control.names, control.weights, strict=True))
    assert weights["cross_entropy"] / weights["teacher_labels"] == pytest.approx(0.1 / 0.9)


def test_works_inside_a_plain_loop() -> None:
    torch.manual_seed(0)
    student, teacher = nn.Linear(2, 4), nn.Linear(2, 4)
    inputs, labels = torch.randn(64, 2), torch.randint(0, 4, (64,))
    objective = Objective([(0.9, SoftLabels(2.0)), (1e-4, WeightPenalty())])
    outputs, knowledge = Outputs(student(inputs)), Knowledge(logits=teacher(inputs))
    objective.prepare(outputs, knowledge, Context(student, len(inputs)))
    optimizer = torch.optim.SGD(student.parameters(), lr=0.5)
    losses = []
    for _ in range(60):
        loss, _ = objective(Outputs(student(inputs)), Knowledge(logits=teacher(inputs)), Batch(inputs, labels))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 * losses[0]
    assert all(parameter.grad is None for parameter in teacher.parameters())
