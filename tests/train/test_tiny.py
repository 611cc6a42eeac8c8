from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from limbeck.data.dataset import Data
from limbeck.models.adapt import Adapted
from limbeck.objectives.cross_entropy import CrossEntropy
from limbeck.objectives.objective import Objective
from limbeck.train import loop
from limbeck.train.loop import Budget, Lesson, fit
from limbeck.train.settings import Settings
from limbeck.train.tiny import EVERY, TINY, forget_tiny

SMALLEST = torch.finfo(torch.float32).tiny  # that is normal


def spoken_once(forgets: bool, steps: int = 1200) -> tuple[nn.Linear, torch.optim.Optimizer]:
    """A layer one of whose inputs is there in the first step alone, as a pixel that is black nearly always."""
    torch.manual_seed(0)
    layer = nn.Linear(2, 3)
    optimizer = torch.optim.AdamW(layer.parameters(), lr=0.01)
    for step in range(steps):
        inputs = torch.randn(4, 2)
        inputs[:, 0] *= step == 0
        optimizer.zero_grad()
        layer(inputs).square().sum().backward()
        optimizer.step()
        if forgets and step % EVERY == 0:
            forget_tiny(optimizer)
    return layer, optimizer


def denormal(optimizer: torch.optim.Optimizer) -> int:
    values = [value for state in optimizer.state.values() for value in state.values() if isinstance(value, Tensor)]
    return sum(int(((value != 0) & (value.abs() < SMALLEST)).sum()) for value in values)


def test_nothing_denormal_stays_and_the_weights_are_those_of_the_plain_loop() -> None:
    plain, remembers = spoken_once(forgets=False)
    mine, forgets = spoken_once(forgets=True)
    assert denormal(remembers) > 0
    assert denormal(forgets) == 0
    assert torch.equal(mine.weight, plain.weight) and torch.equal(mine.bias, plain.bias)


def test_a_mean_of_gradients_stays_normal_between_two_looks() -> None:
    assert TINY * 0.9**EVERY > SMALLEST


def test_what_is_not_tiny_and_counts_of_steps_stay() -> None:
    _, optimizer = spoken_once(forgets=False, steps=3)
    before = {key: value.clone() for key, value in optimizer.state[optimizer.param_groups[0]["params"][0]].items()}
    forget_tiny(optimizer)
    after = optimizer.state[optimizer.param_groups[0]["params"][0]]
    assert all(torch.equal(value, after[key]) for key, value in before.items())
    assert float(after["step"]) == 3


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_a_fit_forgets(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    monkeypatch.setattr(loop.tiny, "forget_tiny", lambda optimizer: calls.append(len(optimizer.state)))
    monkeypatch.setattr(loop.tiny, "EVERY", 4)
    data = Data.open("digits")
    lesson = Lesson(data.pool, data.train, data.validation[:0], data.pool.labels)
    model = Adapted(nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), classes=10)
    fit(model, Objective([(1.0, CrossEntropy())]), lesson, Settings(steps=10, optimizer=name), Budget(10, 10))
    assert calls == [2, 2, 2]  # after steps 0, 4 and 8; of a weight and a bias
