from __future__ import annotations

import pytest
import torch
from torch import nn

from limbeck.errors import ObjectiveError
from limbeck.objectives.base import Context
from limbeck.objectives.weight_penalty import WeightPenalty, squared_norm
from limbeck.types import Batch, Knowledge, Outputs

BATCH = Batch(torch.zeros(2, 3))


def prepared(term: WeightPenalty, student: nn.Module) -> torch.Tensor:
    term.prepare(Outputs(torch.zeros(2, 3)), Knowledge(), Context(student, 2))
    value: torch.Tensor = term(Outputs(torch.zeros(2, 3)), Knowledge(), BATCH)
    return value


def student() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv1d(3, 4, 2), nn.BatchNorm1d(4), nn.Linear(5, 2))


def test_is_the_sum_of_squared_weights_without_biases_and_norms() -> None:
    net = student()
    weights = [net[0].weight, net[2].weight]
    wanted = sum(number**2 for weight in weights for number in weight.flatten().tolist())
    assert prepared(WeightPenalty(), net).item() == pytest.approx(wanted, rel=1e-5)


def test_can_include_biases_and_norms() -> None:
    net = student()
    wanted = sum(number**2 for parameter in net.parameters() for number in parameter.flatten().tolist())
    assert prepared(WeightPenalty(exclude_norm_and_bias=False), net).item() == pytest.approx(wanted, rel=1e-5)


def test_frozen_weights_are_left_out() -> None:
    net = student().requires_grad_(False)
    assert prepared(WeightPenalty(), net).item() == 0
    assert squared_norm([]).item() == 0


def test_the_gradient_is_twice_the_weight() -> None:
    net = student()
    prepared(WeightPenalty(), net).backward()
    torch.testing.assert_close(net[2].weight.grad, 2 * net[2].weight.detach())
    assert net[2].bias.grad is None


def test_follows_the_weights_and_owns_none_of_them() -> None:
    net, term = nn.Linear(3, 2), WeightPenalty()
    first = prepared(term, net).item()
    with torch.no_grad():
        net.weight.mul_(2)
    assert term(Outputs(torch.zeros(2, 3)), Knowledge(), BATCH).item() == pytest.approx(4 * first)
    assert list(term.parameters()) == [] and term.state_dict() == {}


def test_it_says_so_when_it_does_not_know_the_student() -> None:
    with pytest.raises(ObjectiveError, match="call objective.prepare"):
        WeightPenalty()(Outputs(torch.zeros(2, 3)), Knowledge(), BATCH)
