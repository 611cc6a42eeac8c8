"""Frozen parts stay bit for bit as they were, statistics of batch norm included."""

from __future__ import annotations

import copy
import itertools
from pathlib import Path

import pytest
import torch
from torch import nn

from limbeck.errors import Failure, ModelError
from limbeck.models import CNN, MLP, ResNet
from limbeck.models.adapt import Adapted
from limbeck.models.freeze import freeze, frozen_checksum, frozen_state, unfreezing
from limbeck.recipe.load import parse_recipe
from limbeck.run.pipeline import run
from limbeck.run.plan import plan_from_recipe
from limbeck.run.result import read_report

SAMPLE = torch.rand(2, 1, 8, 8)
RECIPE = """\
name: frozen
seeds: 1
data: {source: digits}
student:
  model: {cnn: {width: 4}}
  train: {epochs: 1}
stages:
  - {name: probe, from: scratch, freeze: [backbone], objective: [cross_entropy], train: {epochs: 2, lr: 0.01}}
  - {name: tune, objective: [cross_entropy]}
controls: []
export: {onnx: false}
"""


def network() -> Adapted:
    torch.manual_seed(0)
    return Adapted(CNN((1, 8, 8), 10, width=4), classes=10).train()


def test_the_backbone_is_all_but_the_classifier() -> None:
    model = network()
    freeze(model, ["backbone"], SAMPLE)
    left = {name for name, one in model.net.named_parameters() if one.requires_grad}
    head = [name for name, module in model.net.named_modules() if isinstance(module, nn.Linear)][-1]
    assert left == {f"{head}.weight", f"{head}.bias"}


def test_frozen_batch_norm_keeps_its_statistics_and_its_checksum() -> None:
    model = network()
    freeze(model, ["backbone"], SAMPLE)
    before = frozen_checksum(model)
    norms = [module for module in model.net.modules() if isinstance(module, nn.BatchNorm2d)]
    assert norms and not any(norm.training for norm in norms) and model.training
    model.train()(torch.rand(16, 1, 8, 8))
    assert frozen_checksum(model) == before
    for norm in norms:
        norm.train()  # the mistake that the checksum is there for
    model(torch.rand(16, 1, 8, 8))
    assert frozen_checksum(model) != before


def test_a_pattern_may_name_modules_and_parameters() -> None:
    model = Adapted(MLP((4,), 3, hidden=[5, 5]), classes=3)
    first = next(name for name, one in model.net.named_parameters())
    freeze(model, [first], torch.rand(2, 4))
    assert [name for name, one in model.net.named_parameters() if not one.requires_grad] == [first]
    assert list(frozen_state(model)) == [first] and model.pinned == ()
    freeze(model, [first.rpartition(".")[0]], torch.rand(2, 4))
    assert len(frozen_state(model)) == 2 and model.pinned == (first.rpartition(".")[0],)


def test_a_network_is_unfrozen_from_its_classifier_down() -> None:
    model = Adapted(ResNet((3, 8, 8), 4, depth=8, width=2), classes=4).train()
    parts = unfreezing(model, torch.rand(2, 3, 8, 8))
    assert parts[0] == ("backbone",) and parts[-1] == () and model.training
    counts = []
    for part in parts:
        one = copy.deepcopy(model)
        freeze(one, part, torch.rand(2, 3, 8, 8))
        counts.append([name for name, parameter in one.net.named_parameters() if parameter.requires_grad])
    assert all(set(less) < set(more) for less, more in itertools.pairwise(counts))
    order = [name for name, _ in model.net.named_parameters()]
    assert all(order[-len(names) :] == names for names in counts), "what lies before the end of a stage stays frozen"
    assert len(parts) == 4, "three sizes of pictures and the classifier"


def test_parameters_that_no_module_is_seen_to_use_are_unfrozen_last() -> None:
    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.shift = nn.Parameter(torch.zeros(4))
            self.body = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 6), nn.ReLU())
            self.head = nn.Linear(6, 3)

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            found: torch.Tensor = self.head(self.body(inputs + self.shift))
            return found

    parts = unfreezing(Adapted(Tokens(), classes=3), torch.rand(2, 4))
    assert parts == (("backbone",), ("shift", "body.0"), ())


def test_mistakes_get_a_sentence() -> None:
    with pytest.raises(ModelError, match=r"freeze: nothing is called 'boody'; near it are body"):
        freeze(network(), ["boody"], SAMPLE)
    with pytest.raises(ModelError, match=r"freeze: \* leaves nothing to train"):
        freeze(network(), ["*"], SAMPLE)


def test_nothing_frozen_has_no_checksum() -> None:
    model = network()
    freeze(model, [], SAMPLE)
    assert frozen_checksum(model) is None and all(one.requires_grad for one in model.net.parameters())


def test_a_run_proves_it(tmp_path: Path) -> None:
    report = read_report(run(plan_from_recipe(parse_recipe(RECIPE)), out=tmp_path / "run"))
    probe, tune = (stage["frozen"] for stage in report["stages"])
    assert probe["patterns"] == ["backbone"] and probe["parameters"] > 100 and len(probe["checksum"]) == 64
    assert tune is None
    page = (tmp_path / "run" / "report.html").read_text()
    assert "before and after training" in page and probe["checksum"][:16] in page


def test_a_run_fails_where_batch_norm_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Adapted, "train", nn.Module.train)  # without the pinning
    with pytest.raises(Failure, match="Frozen weights or buffers of student changed in training; this is a bug"):
        run(plan_from_recipe(parse_recipe(RECIPE)), out=tmp_path / "run")


def test_dropout_between_frozen_layers_stays_in_evaluation_mode_and_that_before_others_does_not() -> None:
    net = nn.Sequential(
        nn.Flatten(), nn.Linear(64, 8), nn.Dropout(), nn.Linear(8, 8), nn.Dropout(), nn.Linear(8, 3)
    )  # fmt: skip
    model = Adapted(net, classes=3).train()
    freeze(model, ["backbone"], SAMPLE)
    assert [name for name, one in net.named_modules() if isinstance(one, nn.Dropout) and one.training] == ["4"]
    model = Adapted(nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.Dropout(), nn.Linear(8, 3)), classes=3).train()
    freeze(model, ["3"], SAMPLE)
    assert model.net[2].training  # type: ignore[index] (what is before it learns)
