from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save
from torch import nn

import limbeck.train.loop as loop
from limbeck.data.views import Shift, Views
from limbeck.models.adapt import Adapted
from limbeck.models.arithmetic import Arithmetic
from limbeck.models.weights import checksum
from limbeck.objectives import CrossEntropy, SoftLabels, WeightPenalty
from limbeck.objectives.objective import Objective
from limbeck.teachers.module import ModuleTeacher
from limbeck.train.checkpoint import load_checkpoint, save_checkpoint
from limbeck.train.loop import Budget, Lesson, Progress, fit
from limbeck.train.settings import Settings
from limbeck.types import Record

MakeLesson = Callable[..., Lesson]
MakeModel = Callable[..., Adapted]


@pytest.fixture(autouse=True)
def _at_every_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", -1.0)


class Interrupt:
    """Ctrl-C at the end of an epoch, before its checkpoint is written."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def __call__(self, record: Record) -> None:
        if record.epoch == self.epoch:
            raise KeyboardInterrupt


class Case:
    """One fit with everything that has a state: dropout, batch norm, fresh views, momentum."""

    def __init__(
        self, make_lesson: MakeLesson, make_model: MakeModel, optimizer: str = "adamw", momentum: float = 0.9
    ) -> None:
        self.lesson = make_lesson(views=Views([Shift(1)], seed=0))
        self.make_model, self.optimizer, self.momentum = make_model, optimizer, momentum

    def run(self, path: Path | None, model: Adapted, *observers: Interrupt, steps: int = 15) -> Progress:
        objective = Objective([(0.8, SoftLabels()), (0.2, CrossEntropy()), (1e-4, WeightPenalty())])
        settings = Settings(batch_size=16, lr=0.02, optimizer=self.optimizer, momentum=self.momentum)  # type: ignore[arg-type]
        teacher = ModuleTeacher(self.make_model(9))
        return fit(
            model,
            objective,
            self.lesson,
            settings,
            Budget(steps, 3),
            teacher=teacher,
            seed=3,
            checkpoint=path,
            observers=observers,
        )


def without_times(progress: Progress) -> list[Any]:
    history = [{key: value for key, value in record.items() if key != "seconds"} for record in progress.history]
    figures = (progress.step, progress.epoch, progress.best_accuracy, progress.best_epoch, progress.improved_epoch)
    return [*figures, history]


@pytest.mark.parametrize(("optimizer", "momentum"), [("adamw", 0.9), ("adam", 0.9), ("sgd", 0.9), ("sgd", 0.0)])
def test_an_interrupted_fit_ends_as_the_unbroken_one(
    make_lesson: MakeLesson, make_model: MakeModel, tmp_path: Path, optimizer: str, momentum: float
) -> None:
    case, path = Case(make_lesson, make_model, optimizer, momentum), tmp_path / "checkpoint.safetensors"
    whole = make_model()
    wanted = case.run(None, whole)
    for epoch in (1, 3, 4):  # checkpoints come at every step here, also within an epoch
        with pytest.raises(KeyboardInterrupt):
            case.run(path, make_model(), Interrupt(epoch))
        assert path.exists()
    resumed = make_model(seed=77)  # other starting weights: all must come from the checkpoint
    found = case.run(path, resumed)
    assert checksum(resumed.net) == checksum(whole.net)
    assert without_times(found) == without_times(wanted)
    assert [record["epoch"] for record in found.history] == [1, 2, 3, 4, 5]
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.safetensors"]


def test_the_best_weights_so_far_survive(
    make_lesson: MakeLesson, make_model: MakeModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case, path, results = Case(make_lesson, make_model), tmp_path / "checkpoint", []
    for interrupted in (False, True):
        script = iter([0.9, 0.5, 0.4, 0.4, 0.3, 0.2])  # the third epoch is measured twice when interrupted
        monkeypatch.setattr(loop, "accuracy", lambda *_, script=script: next(script))
        if interrupted:
            with pytest.raises(KeyboardInterrupt):
                case.run(path, make_model(), Interrupt(3))
        model = make_model(seed=int(interrupted))
        progress = case.run(path if interrupted else None, model)
        assert (progress.best_epoch, progress.best_accuracy) == (1, 0.9)
        results.append(checksum(model.net))
    assert results[0] == results[1]


def test_a_finished_fit_is_not_taken_up_again(make_lesson: MakeLesson, make_model: MakeModel, tmp_path: Path) -> None:
    case, path = Case(make_lesson, make_model), tmp_path / "checkpoint"
    first, second = make_model(), make_model(seed=5)
    case.run(path, first, steps=6)
    progress = case.run(path, second, Interrupt(1), steps=6)
    assert progress.step == 6 and checksum(first.net) == checksum(second.net)


def broken(content: bytes) -> dict[str, bytes]:
    return {
        "empty": b"",
        "text": b"not a checkpoint",
        "cut": content[: len(content) // 2],
        "cut by one": content[:-1],
        "weights only": save({"model/weight": torch.zeros(2)}),
        "other metadata": save({"model/weight": torch.zeros(2)}, metadata={"format": "pt"}),
    }


@pytest.mark.parametrize("how", sorted(broken(b"")))
def test_a_broken_checkpoint_is_passed_over(
    make_lesson: MakeLesson, make_model: MakeModel, tmp_path: Path, how: str
) -> None:
    case, path = Case(make_lesson, make_model), tmp_path / "checkpoint"
    whole, resumed = make_model(), make_model()
    wanted = case.run(path, whole, steps=6)
    path.write_bytes(broken(path.read_bytes())[how])
    assert without_times(case.run(path, resumed, steps=6)) == without_times(wanted)
    assert checksum(resumed.net) == checksum(whole.net)


def test_checkpoints_are_rare_by_default(
    make_lesson: MakeLesson, make_model: MakeModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 1000.0)
    Case(make_lesson, make_model).run(tmp_path / "checkpoint", make_model(), steps=6)
    assert list(tmp_path.iterdir()) == []


def test_everything_comes_back(tmp_path: Path) -> None:
    path, torch_seed = tmp_path / "checkpoint", 4
    torch.manual_seed(torch_seed)
    net, other = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)), nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    optimizers = [torch.optim.AdamW(module.parameters(), lr=0.1) for module in (net, other)]
    net(torch.rand(5, 3)).square().sum().backward()
    optimizers[0].step()
    best = {"0.bias": torch.tensor([1.0, 2.0])}
    progress = {"step": 3, "history": [{"loss": 0.1}], "best_accuracy": None}
    save_checkpoint(path, modules={"model": net}, best=best, optimizer=optimizers[0], progress=progress)
    following = torch.rand(4)
    torch.manual_seed(99)
    found = load_checkpoint(path, modules={"model": other}, optimizer=optimizers[1])
    assert found is not None and found[1] == progress
    assert list(found[0]) == ["0.bias"] and torch.equal(found[0]["0.bias"], best["0.bias"])
    assert checksum(net) == checksum(other)
    assert torch.equal(torch.rand(4), following)
    for mine, theirs in zip(*(optimizer.state_dict()["state"].values() for optimizer in optimizers), strict=True):
        assert mine.keys() == theirs.keys()
        assert all(torch.equal(mine[key], theirs[key]) for key in mine)


class Counting(torch.optim.Optimizer):
    """An optimizer whose state is a plain number, and a nothing."""

    def step(self) -> None:  # type: ignore[override]
        for parameter in self.param_groups[0]["params"]:
            self.state[parameter]["steps"] = self.state[parameter].get("steps", 0) + 1
            self.state[parameter]["buffer"] = None


def test_an_optimizer_may_count_in_plain_numbers(tmp_path: Path) -> None:
    net = nn.Linear(2, 2)
    first, second = Counting(net.parameters(), {}), Counting(net.parameters(), {})
    first.step()
    first.step()
    save_checkpoint(tmp_path / "checkpoint", modules={"model": net}, best={}, optimizer=first, progress={})
    assert load_checkpoint(tmp_path / "checkpoint", modules={"model": net}, optimizer=second) == ({}, {})
    assert [state["steps"] for state in second.state.values()] == [2, 2]


def test_no_checkpoint_is_none(tmp_path: Path) -> None:
    net = nn.Linear(2, 2)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    assert load_checkpoint(tmp_path / "none", modules={"model": net}, optimizer=optimizer) is None


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_a_fit_in_bf16_with_channels_last_is_resumed_as_it_was_begun(
    make_lesson: MakeLesson, make_model: MakeModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, optimizer: str
) -> None:
    """Also on a processor that would choose fp32 by itself."""
    case, path, whole = Case(make_lesson, make_model, optimizer), tmp_path / "checkpoint", make_model()
    monkeypatch.setattr(loop, "choose", lambda *_: Arithmetic("bf16", True))
    wanted = case.run(None, whole)
    with pytest.raises(KeyboardInterrupt):
        case.run(path, make_model(), Interrupt(3))
    resumed = make_model(seed=77)
    monkeypatch.setattr(loop, "choose", lambda *_: Arithmetic("fp32", True))
    found = case.run(path, resumed)
    assert found.precision == "bf16" and without_times(found) == without_times(wanted)
    assert checksum(resumed.net) == checksum(whole.net)
    assert all(value.is_contiguous() for value in resumed.net.state_dict().values())


def test_what_an_optimizer_keeps_of_a_weight_comes_back_in_the_weights_own_order(tmp_path: Path) -> None:
    """Fused optimizers go through both as they lie in memory, whatever their strides say."""
    nets = [nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last) for _ in range(2)]
    optimizers = [torch.optim.AdamW(net.parameters(), lr=0.1, fused=True) for net in nets]
    pictures = torch.rand(2, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    nets[0](pictures).square().sum().backward()
    optimizers[0].step()
    save_checkpoint(tmp_path / "checkpoint", modules={"model": nets[0]}, best={}, optimizer=optimizers[0], progress={})
    load_checkpoint(tmp_path / "checkpoint", modules={"model": nets[1]}, optimizer=optimizers[1])
    for net, optimizer in zip(nets, optimizers, strict=True):
        assert optimizer.state[net.weight]["exp_avg"].stride() == net.weight.stride()
        net.zero_grad()
        net(pictures).square().sum().backward()
        optimizer.step()
    assert torch.equal(nets[0].weight, nets[1].weight)
