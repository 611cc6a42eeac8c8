"""The pull towards the start, and that of a new head towards zero."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from limbeck.errors import ObjectiveError
from limbeck.models.adapt import Adapted
from limbeck.objectives import L2Sp
from limbeck.objectives.base import Context
from limbeck.types import Batch, Knowledge, Outputs


def value(term: L2Sp) -> float:
    return term(Outputs(torch.zeros(2, 2)), Knowledge(), Batch(torch.zeros(2, 3))).item()


def test_it_is_nothing_at_the_start_and_grows_with_the_way() -> None:
    model = Adapted(nn.Linear(3, 2, bias=False), classes=2)
    term = L2Sp(alpha=0.5, beta=7)
    term.prepare(Outputs(torch.zeros(2, 2)), Knowledge(), Context(model, 2))
    assert value(term) == 0
    with torch.no_grad():
        model.net.weight.add_(2)
    assert value(term) == pytest.approx(0.5 / 2 * 6 * 4)


def test_a_new_head_is_pulled_to_zero_and_what_is_frozen_not_at_all() -> None:
    net = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    net[0].requires_grad_(False)
    model = Adapted(net, classes=2)
    model.fresh = ("2.weight",)
    term = L2Sp(alpha=1, beta=0.1)
    term.prepare(Outputs(torch.zeros(2, 2)), Knowledge(), Context(model, 2))
    assert value(term) == pytest.approx(0.1 / 2 * net[2].weight.square().sum().item())
    with torch.no_grad():
        net[0].weight.add_(1)
        net[1].weight.add_(1)
    assert value(term) == pytest.approx(0.1 / 2 * net[2].weight.square().sum().item() + 1 / 2 * 4)


def test_it_asks_to_be_prepared() -> None:
    with pytest.raises(ObjectiveError, match="l2_sp does not know the student"):
        value(L2Sp())
