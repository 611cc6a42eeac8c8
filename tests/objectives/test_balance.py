"""Weights that are shares of the gradient: what is measured, what the terms are multiplied by, what is reported."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from limbeck.errors import ObjectiveError
from limbeck.objectives import CrossEntropy, EntropyPenalty, LogitMatching, SoftLabels, WeightPenalty
from limbeck.objectives.balance import KEPT, Balance
from limbeck.objectives.base import Context, Term
from limbeck.objectives.objective import Objective
from limbeck.objectives.schedule import Schedule
from limbeck.types import Batch, Knowledge, Outputs

B, C, D = 12, 4, 5
Terms = list[tuple[float | Schedule, Term]]


class Case:
    """A student and a balanced objective that knows it."""

    def __init__(self, terms: Terms, *, prepare: bool = True) -> None:
        torch.manual_seed(2)
        self.student = nn.Sequential(nn.Linear(D, 6), nn.Tanh(), nn.Linear(6, C))
        self.inputs, self.logits = torch.randn(B, D), 3 * torch.randn(B, C)
        self.labels = torch.randint(0, C, (B,))
        self.objective = Objective(terms, balance="gradients")
        if prepare:
            self.objective.prepare(self.outputs(), self.knowledge, Context(self.student, B))

    @property
    def knowledge(self) -> Knowledge:
        return Knowledge(logits=self.logits)

    def outputs(self) -> Outputs:
        return Outputs(self.student(self.inputs))

    def loss(self, **options: object) -> torch.Tensor:
        batch = Batch(self.inputs, self.labels)
        loss: torch.Tensor = self.objective(self.outputs(), self.knowledge, batch, **options)[0]
        return loss

    def gradient(self, value: torch.Tensor) -> np.ndarray:
        found = torch.autograd.grad(value, list(self.student.parameters()), allow_unused=True)
        pairs = zip(found, self.student.parameters(), strict=True)
        return np.concatenate([(torch.zeros_like(p) if g is None else g).flatten().numpy() for g, p in pairs])

    def alone(self) -> list[np.ndarray]:
        """Return the gradient of each term by itself, unweighted."""
        batch = Batch(self.inputs, self.labels)
        return [self.gradient(term(self.outputs(), self.knowledge, batch)) for term in self.objective.terms]


def three() -> Terms:
    return [(0.7, SoftLabels(4.0)), (0.2, CrossEntropy()), (-0.1, EntropyPenalty())]


def test_each_weight_is_the_terms_share_of_the_gradient() -> None:
    case = Case(three())
    gradients, weights = case.alone(), case.objective.weights
    norms = [float(np.linalg.norm(one)) for one in gradients]
    assert max(norms) > 3 * min(norms)
    total = sum(abs(weight) * norm for weight, norm in zip(weights, norms, strict=True))
    wanted = sum(weight * total * one / norm for weight, norm, one in zip(weights, norms, gradients, strict=True))
    np.testing.assert_allclose(case.gradient(case.loss()), wanted, rtol=1e-4, atol=1e-6)


def test_norms_and_cosines_are_those_of_numpy() -> None:
    case = Case(three())
    gradients = case.alone()
    case.loss()
    told = case.objective.gradients(0.0)
    assert told is not None
    for name, one in zip(case.objective.names, gradients, strict=True):
        assert told["norms"][name] == pytest.approx(np.linalg.norm(one), rel=1e-5)
    cosine = gradients[0] @ gradients[2] / np.linalg.norm(gradients[0]) / np.linalg.norm(gradients[2])
    assert told["cosines"]["soft_labels, entropy_penalty"] == pytest.approx(cosine, abs=1e-5)
    assert len(told["cosines"]) == 3


def test_the_weights_that_it_tells_give_the_same_loss_without_it() -> None:
    case = Case(three())
    loss, told = case.loss(), case.objective.gradients(0.0)
    assert told is not None
    plain = Objective(
        [(told["weights"][name], term) for name, (_, term) in zip(case.objective.names, three(), strict=True)]
    )
    again = plain(case.outputs(), case.knowledge, Batch(case.inputs, case.labels))[0]
    torch.testing.assert_close(loss, again)
    assert plain.gradients(0.0) is None


@given(st.lists(st.tuples(st.floats(-3, 3), st.floats(0, 1e6)), min_size=1, max_size=5))
@settings(max_examples=60)
def test_shares_hold_whatever_was_measured_and_the_whole_is_as_large_as_before(
    pairs: list[tuple[float, float]],
) -> None:
    balance, weights = Balance(len(pairs)), [weight for weight, _ in pairs]
    balance.norms.copy_(torch.tensor([norm for _, norm in pairs]))
    factors = balance.factors(weights)
    pulls = np.abs(weights) * factors.double().numpy() * balance.norms.double().numpy()
    before = np.abs(weights) * balance.norms.double().numpy()
    assert np.isfinite(pulls).all() and (factors > 0).all()
    assert pulls.sum() == pytest.approx(before.sum(), rel=1e-3, abs=1e-9)
    counted = (balance.norms.numpy() > 1e-12) & (np.abs(weights) > 1e-6)
    if before.sum() > 1e-6:
        shares = pulls[counted] / np.abs(weights)[counted]
        np.testing.assert_allclose(shares, shares.mean() if len(shares) else 0, rtol=1e-3)


def test_what_is_measured_again_moves_the_average() -> None:
    case = Case(three())
    first = torch.tensor([np.linalg.norm(one) for one in case.alone()])
    case.loss()
    with torch.no_grad():
        case.student[2].weight.mul_(3)
    case.loss()
    assert case.objective.balance is not None
    torch.testing.assert_close(case.objective.balance.norms, first)
    second = torch.tensor([np.linalg.norm(one) for one in case.alone()])
    case.loss(measure=True)
    torch.testing.assert_close(case.objective.balance.norms, KEPT * first + (1 - KEPT) * second)


def test_a_term_without_a_gradient_is_left_as_it_is() -> None:
    case = Case([(1.0, CrossEntropy()), (0.5, SoftLabels())])
    case.labels = torch.full((B,), -1)
    loss = case.loss()
    torch.testing.assert_close(loss, 0.5 * SoftLabels()(case.outputs(), case.knowledge, Batch(case.inputs)))
    told = case.objective.gradients(0.0)
    assert (
        told is not None and told["norms"]["cross_entropy"] == 0 and told["cosines"]["cross_entropy, soft_labels"] == 0
    )


def test_frozen_weights_and_the_teacher_are_not_looked_at() -> None:
    case = Case(three(), prepare=False)
    case.student[0].requires_grad_(False)
    case.logits.requires_grad_(True)
    case.objective.prepare(case.outputs(), case.knowledge, Context(case.student, B))
    case.loss().backward()
    assert case.student[0].weight.grad is None and case.logits.grad is None
    assert case.objective.balance is not None and (case.objective.balance.norms > 0).all()


def test_a_schedule_and_a_weight_penalty_have_their_shares_too() -> None:
    case = Case([(Schedule(0, 1, 4), LogitMatching()), (1.0, CrossEntropy()), (0.01, WeightPenalty())])
    loss = case.loss(epoch=2.0)
    gradients, told = case.alone(), case.objective.gradients(2.0)
    assert told is not None and loss.requires_grad
    pulls = [
        abs(told["weights"][name]) * np.linalg.norm(one)
        for name, one in zip(case.objective.names, gradients, strict=True)
    ]
    assert np.allclose(np.array(pulls) / pulls[1], [0.5, 1.0, 0.01], rtol=1e-4)


def test_what_was_measured_is_state_and_nothing_else_is() -> None:
    case = Case(three())
    case.loss()
    state = case.objective.state_dict()
    assert set(state) == {"balance.norms", "balance.cosines", "balance.measured"}
    assert list(case.objective.parameters()) == []
    other = Case(three())
    other.objective.load_state_dict(state)
    assert other.objective.gradients(0.0) == case.objective.gradients(0.0)
    assert Objective(three()).state_dict() == {}


def test_who_has_not_prepared_it_is_told_how() -> None:
    with pytest.raises(ObjectiveError, match=r"call objective.prepare\(outputs, knowledge, Context"):
        Case(three(), prepare=False).loss()


def test_a_control_has_shares_where_the_student_has_and_a_description_says_so() -> None:
    objective = Case(three()).objective
    assert objective.describe().endswith("entropy_penalty, weights as shares of the gradient")
    assert objective.control().balance is not None and objective.at_peak().balance is None
    assert objective.control().describe() != Objective(three()).control().describe()
    assert Objective(three()).control().balance is None
    alone = Objective([(0.9, SoftLabels()), (0.1, CrossEntropy())], balance="gradients").control()
    assert alone.describe() == "1 cross_entropy(label_smoothing=0.0)"
