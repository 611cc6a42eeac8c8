from __future__ import annotations

import pytest
import torch
from torch import nn

from limbeck.train.settings import Settings, build_optimizer, learning_rate

TOTAL = 100


def curve(schedule: str, total: int = TOTAL) -> list[float]:
    settings = Settings(lr=0.2, schedule=schedule)  # type: ignore[arg-type]
    return [learning_rate(settings, step, total) for step in range(total)]


def test_constant_and_linear() -> None:
    assert set(curve("constant")) == {0.2}
    assert curve("linear") == pytest.approx([0.2 * (1 - step / TOTAL) for step in range(TOTAL)])


def test_cosine_is_that_of_torch() -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.2)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=TOTAL)
    wanted = []
    for _ in range(TOTAL):
        wanted.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    assert curve("cosine") == pytest.approx(wanted)


def test_one_cycle_warms_up_to_the_peak_and_comes_down_to_nothing() -> None:
    rates = curve("one_cycle")
    assert rates[0] == pytest.approx(0.2 / 25)
    assert max(rates) == rates[30] == pytest.approx(0.2)
    assert rates[15] == pytest.approx((0.2 + 0.2 / 25) / 2)
    assert rates[65] == pytest.approx(0.1)
    assert rates[:31] == sorted(rates[:31]) and rates[30:] == sorted(rates[30:], reverse=True)
    assert 0 < rates[-1] < 0.001


@pytest.mark.parametrize("schedule", ["one_cycle", "cosine", "linear", "constant"])
@pytest.mark.parametrize("total", [1, 2, 3, 7])
def test_short_fits_have_a_rate_at_every_step(schedule: str, total: int) -> None:
    assert all(0 < rate <= 0.2 for rate in curve(schedule, total))


def test_how_many_steps_there_are() -> None:
    settings = Settings(epochs=3, batch_size=32)
    assert [settings.steps_per_epoch(n) for n in (1, 32, 47, 49, 320)] == [1, 1, 1, 2, 10]
    assert settings.total_steps(320) == 30
    assert Settings(epochs=3, steps=17).total_steps(320) == 17


@pytest.mark.parametrize(
    ("name", "kind"), [("adamw", torch.optim.AdamW), ("adam", torch.optim.Adam), ("sgd", torch.optim.SGD)]
)
def test_the_optimizer_is_the_one_that_is_named(name: str, kind: type) -> None:
    net = nn.Linear(2, 2)
    net.bias.requires_grad_(False)
    settings = Settings(optimizer=name, lr=0.5, weight_decay=0.25)  # type: ignore[arg-type]
    optimizer = build_optimizer(settings, net)
    (group,) = optimizer.param_groups
    assert type(optimizer) is kind
    assert (group["lr"], group["weight_decay"]) == (0.5, 0.25)
    assert group["params"] == [net.weight]


@pytest.mark.parametrize("momentum", [0.0, 0.7])
def test_sgd_is_nesterovs_where_there_is_momentum(momentum: float) -> None:
    optimizer = build_optimizer(Settings(optimizer="sgd", momentum=momentum), nn.Linear(2, 2))
    assert optimizer.param_groups[0]["momentum"] == momentum
    assert optimizer.param_groups[0]["nesterov"] is (momentum > 0)
