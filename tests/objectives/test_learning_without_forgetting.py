"""The student is held to what it said at its start, by its own head or by the one that its source had."""

from __future__ import annotations

import copy

import pytest
import torch
from scipy.special import softmax
from scipy.stats import entropy
from torch import nn

from limbeck.errors import ObjectiveError
from limbeck.models.adapt import Adapted
from limbeck.objectives import CrossEntropy, LearningWithoutForgetting
from limbeck.objectives.base import Context
from limbeck.objectives.objective import Objective
from limbeck.types import Batch, Knowledge, Outputs

BATCH = Batch(torch.rand(6, 3, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 0, -1, 1, 0]))


def moved(classes: int) -> tuple[Adapted, Adapted, LearningWithoutForgetting]:
    """A student of two classes that has moved, as it was, and the term; classes: of its source."""
    torch.manual_seed(3)
    model = Adapted(nn.Sequential(nn.Linear(3, 4), nn.Dropout(), nn.Linear(4, 2)), classes=2)
    if classes != 2:
        model.left = {"2.weight": torch.randn(classes, 4), "2.bias": torch.randn(classes)}
    model.answer_as_source()
    before, term = copy.deepcopy(model).eval(), LearningWithoutForgetting()
    term.prepare(model(BATCH.inputs), Knowledge(), Context(model, 6))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape))
    return model.eval(), before, term


@pytest.mark.parametrize("classes", [2, 5])
def test_it_is_the_way_from_what_the_student_said(classes: int) -> None:
    model, before, term = moved(classes)
    then, now = (
        (one.heads.get("source", one.logits) / 2).detach() for one in (before(BATCH.inputs), model(BATCH.inputs))
    )
    assert now.shape == (6, classes)
    by_hand = 4 * sum(entropy(*pair) for pair in zip(softmax(then, 1), softmax(now, 1), strict=True)) / 6
    assert term(model(BATCH.inputs), Knowledge(), BATCH).item() == pytest.approx(by_hand, rel=1e-4)
    assert term(before(BATCH.inputs), Knowledge(), BATCH).item() == pytest.approx(0, abs=1e-6)


def test_the_sources_head_is_neither_trained_nor_a_part_of_the_student() -> None:
    model, _, term = moved(5)
    term(model(BATCH.inputs), Knowledge(), BATCH).backward()
    assert model.net[0].weight.grad.abs().sum() > 0
    assert model.net[2].weight.grad is None, "the new head does not answer for the source"
    assert [*model.state_dict()] == [f"net.{name}" for name in model.net.state_dict()]
    assert not list(term.parameters()) and not term.state_dict()


def test_as_it_was_it_answers_in_evaluation_mode_and_never_changes() -> None:
    model, _, term = moved(2)
    said = model(BATCH.inputs)
    first = term(said, Knowledge(), BATCH)
    model.train()
    with torch.no_grad():
        model.net[0].weight.zero_()
    assert torch.equal(first, term(said, Knowledge(), BATCH))


def test_every_control_but_scratch_keeps_it() -> None:
    objective = Objective([(1.0, CrossEntropy()), (0.5, LearningWithoutForgetting())])
    assert objective.control().names == ("cross_entropy", "learning_without_forgetting")
    assert not objective.needs and objective.uses_unlabelled and objective.remembers_source


def test_it_asks_to_be_prepared() -> None:
    with pytest.raises(ObjectiveError, match="does not know how the student began"):
        LearningWithoutForgetting()(Outputs(torch.zeros(2, 2)), Knowledge(), Batch(torch.zeros(2, 3)))
