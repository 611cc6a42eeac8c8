"""Compiled steps: when there are any, and that they give the plain way's values and gradients."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import limbeck.train.compiled as compiling
from limbeck.errors import ModelError, TrainingError
from limbeck.models import CNN, MLP, WRN
from limbeck.models.adapt import Adapted, Normalise
from limbeck.models.arithmetic import PLAIN, Arithmetic
from limbeck.objectives import CrossEntropy
from limbeck.objectives.objective import Objective
from limbeck.train import ranks
from limbeck.train.compiled import WORTH_COMPILING, compiled, has_compiler, wants_compiling
from limbeck.train.loop import Budget, Lesson, Progress, fit
from limbeck.train.settings import Settings
from limbeck.train.threads import SMALL_STEP

CPU = torch.device("cpu")
INPUTS = torch.rand(16, 1, 9, 9, generator=torch.Generator().manual_seed(0))
needs_compiler = pytest.mark.skipif(not has_compiler(), reason="there is no C++ compiler on this machine")


def normed() -> Adapted:
    """Convolutions with batch norm, as those that are compiled."""
    torch.manual_seed(0)
    convolutions = nn.Sequential(nn.Conv2d(1, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU())
    net = nn.Sequential(convolutions, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    return Adapted(net, classes=3, normalise=Normalise([0.4], [0.3]))


def state(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def step_of(model: nn.Module, parameters: nn.Module, how: Arithmetic) -> tuple[Tensor, list[Tensor]]:
    logits = how.forward(model, INPUTS).logits
    gradients = torch.autograd.grad(nn.functional.cross_entropy(logits, torch.arange(16) % 3), parameters.parameters())
    return logits.detach(), [one.contiguous() for one in gradients]


@needs_compiler
@pytest.mark.parametrize("how", [PLAIN, Arithmetic("bf16", True)])
def test_compiled_steps_equal_plain_ones_in_value_gradient_and_statistics(how: Arithmetic) -> None:
    plain, model = normed().train(), normed().train()
    with how.laid_out(plain.net), how.laid_out(model.net):
        before = state(model)
        fast = compiled(model, how, INPUTS)
        assert fast is not None
        assert all(torch.equal(value, before[name]) for name, value in state(model).items()), "trying changes nothing"
        wanted, found = step_of(plain, plain, how), step_of(fast, model, how)
    rough = {"rtol": 1e-4, "atol": 1e-5} if how == PLAIN else {"rtol": 0.05, "atol": 0.02}
    torch.testing.assert_close(found, wanted, **rough)
    torch.testing.assert_close(dict(model.named_buffers()), dict(plain.named_buffers()), rtol=1e-2, atol=1e-3)


@needs_compiler
def test_trying_leaves_the_random_numbers_alone() -> None:
    net = normed().net
    model = Adapted(nn.Sequential(net, nn.Dropout(0.5)), classes=3).train()  # compiled dropout draws from the generator
    torch.manual_seed(3)
    wanted = torch.rand(4)
    torch.manual_seed(3)
    assert compiled(model, PLAIN, INPUTS) is not None
    assert torch.equal(torch.rand(4), wanted)


class Stubborn(nn.Module):
    """A network that torch.compile is told to refuse, but that works."""

    def forward(self, inputs: Tensor) -> Tensor:
        if torch.compiler.is_compiling():
            raise RuntimeError("not this one")
        return inputs.flatten(1)[:, :3] * 1.0


def test_what_cannot_be_compiled_is_left_as_it_is_unless_the_recipe_insists() -> None:
    model = Adapted(nn.Sequential(Stubborn(), nn.Linear(3, 3)), classes=3)
    assert compiled(model, PLAIN, INPUTS) is None
    with pytest.raises(ModelError, match=r"train\.compile is always, but the model cannot be compiled: .*"):
        compiled(model, PLAIN, INPUTS, insist=True)


@pytest.mark.parametrize(
    ("make", "work", "steps", "wanted"),
    [
        (normed, SMALL_STEP, WORTH_COMPILING // SMALL_STEP + 1, True),
        (normed, SMALL_STEP, WORTH_COMPILING // SMALL_STEP - 1, False),  # too short
        (normed, SMALL_STEP - 1, WORTH_COMPILING, False),  # one thread
        (lambda: Adapted(CNN((1, 9, 9), 3), classes=3), SMALL_STEP, WORTH_COMPILING, False),  # pools over windows
        (lambda: Adapted(WRN((1, 9, 9), 3, dropout=0.1), classes=3), SMALL_STEP, WORTH_COMPILING, False),
        (lambda: Adapted(WRN((1, 9, 9), 3), classes=3), SMALL_STEP, WORTH_COMPILING, True),
        (lambda: Adapted(MLP((1, 9, 9), 3), classes=3), SMALL_STEP, WORTH_COMPILING, False),  # no batch norm
    ],
)
def test_a_long_fit_of_a_network_that_gains_is_compiled(
    make: Callable[[], Adapted], work: int, steps: int, wanted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiling, "has_compiler", lambda: True)
    assert wants_compiling("auto", make(), CPU, work, steps) == wanted
    assert wants_compiling("always", make(), CPU, work, steps)
    assert not wants_compiling("never", make(), CPU, work, steps)
    assert not wants_compiling("auto", make(), torch.device("cuda"), work, steps)
    monkeypatch.setattr(compiling, "has_compiler", lambda: False)
    assert not wants_compiling("auto", make(), CPU, work, steps)


def test_nothing_is_compiled_in_several_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranks, "world", lambda: 2)
    monkeypatch.setattr(compiling, "has_compiler", lambda: True)
    assert not wants_compiling("auto", normed(), CPU, SMALL_STEP, WORTH_COMPILING)
    with pytest.raises(TrainingError, match="several processes"):
        wants_compiling("always", normed(), CPU, SMALL_STEP, WORTH_COMPILING)


def test_the_compiler_is_the_one_that_the_environment_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert not has_compiler()
    monkeypatch.delenv("CXX")
    assert has_compiler() == (shutil.which("g++") is not None)


@needs_compiler
def test_a_compiled_fit_ends_where_a_plain_one_does_and_a_resumed_one_stays_compiled(
    make_lesson: Callable[..., Lesson], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lesson, settings = make_lesson(), Settings(batch_size=16, lr=0.05, optimizer="sgd", compile="always")
    terms = Objective([(1.0, CrossEntropy())])

    def trained(settings: Settings, budget: Budget, **options: Path) -> tuple[Progress, dict[str, Tensor]]:
        model = normed()
        return fit(model, terms, lesson, settings, budget, **options), state(model)  # type: ignore[arg-type]

    plain, weights = trained(replace(settings, compile="never"), Budget(12, 3))
    fast, same = trained(settings, Budget(12, 3))
    assert (plain.compiled, fast.compiled) == (False, True)
    torch.testing.assert_close(same, weights, rtol=1e-3, atol=1e-4)
    monkeypatch.setattr("limbeck.train.loop.CHECKPOINT_SECONDS", 0.0)
    file = tmp_path / "checkpoint"
    trained(settings, Budget(12, 3, stop_at=6), checkpoint=file)
    again, resumed = trained(replace(settings, compile="auto"), Budget(12, 3), checkpoint=file)
    assert again.compiled is True
    assert all(torch.equal(value, same[name]) for name, value in resumed.items())
