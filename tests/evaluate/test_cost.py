from __future__ import annotations

import pytest
import torch
from torch import nn

from limbeck.evaluate import cost
from limbeck.models import CNN, MLP, Linear
from limbeck.models.adapt import Adapted, Normalise

IMAGE = (1, 8, 8)


def adapted(net: nn.Module, classes: int = 10) -> Adapted:
    return Adapted(net, classes=classes, normalise=Normalise([0.5], [0.25]))


def test_an_mlp_is_counted_by_hand() -> None:
    found = cost.size(adapted(MLP(IMAGE, 10, hidden=[32, 16])), torch.rand(1, *IMAGE))
    weights = 64 * 32 + 32 * 16 + 16 * 10
    assert found.parameters == weights + 32 + 16 + 10
    assert found.bytes == 4 * found.parameters
    assert found.macs == weights


def test_a_linear_model_is_counted_by_hand() -> None:
    found = cost.size(adapted(Linear((5,), 3), 3), torch.rand(1, 5))
    assert (found.parameters, found.bytes, found.macs) == (18, 72, 15)


def test_a_convolution_is_counted_at_every_place() -> None:
    net = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 64, 10))
    found = cost.size(adapted(net), torch.rand(1, *IMAGE))
    assert found.macs == 64 * 4 * 9 + 256 * 10
    assert found.parameters == 4 * 9 + 4 + 256 * 10 + 10


def test_buffers_count_as_bytes_and_not_as_parameters() -> None:
    net = CNN(IMAGE, 10, width=4, depth=2)
    found = cost.size(adapted(net), torch.rand(1, *IMAGE))
    assert found.parameters == sum(parameter.numel() for parameter in net.parameters())
    buffers = sum(buffer.numel() * buffer.element_size() for buffer in net.buffers())
    assert buffers > 0
    assert found.bytes == 4 * found.parameters + buffers


@pytest.mark.parametrize("before", [1, 2])
def test_latency_restores_the_thread_count(before: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost, "TIMED_RUNS", 5)
    seen, started = [], torch.get_num_threads()
    model = adapted(Linear(IMAGE, 10))
    model.register_forward_hook(lambda *_: seen.append(torch.get_num_threads()))
    try:
        torch.set_num_threads(before)
        found = cost.latency(model.train(), torch.rand(1, *IMAGE), [1, 2])
        assert torch.get_num_threads() == before
    finally:
        torch.set_num_threads(started)
    assert [one["threads"] for one in found] == [1, 2]
    assert all(0 < one["p50"] <= one["p95"] for one in found)
    assert set(seen) == {1, 2}
    assert not model.training


def test_latency_restores_the_thread_count_when_a_model_fails() -> None:
    started = torch.get_num_threads()
    with pytest.raises(RuntimeError):
        cost.latency(adapted(Linear(IMAGE, 10)), torch.rand(1, 3), [started + 1])
    assert torch.get_num_threads() == started


def test_a_slow_model_is_not_timed_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost, "TIMED_SECONDS", 1e-9)
    calls: list[int] = []
    model = adapted(Linear(IMAGE, 10))
    model.register_forward_hook(lambda *_: calls.append(1))
    assert len(cost.latency(model, torch.rand(1, *IMAGE), [1])) == 1
    assert cost.WARM_UP_RUNS <= len(calls) <= cost.WARM_UP_RUNS + 1
