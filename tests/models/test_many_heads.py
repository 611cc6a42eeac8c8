"""Heads for further tasks beside a classifier."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from limbeck.errors import ModelError
from limbeck.models import CNN, MLP, LeNet5
from limbeck.models.adapt import Adapted
from limbeck.models.freeze import freeze
from limbeck.models.further_heads import described, give_heads, with_heads
from limbeck.models.many_heads import ManyHeads
from limbeck.models.prefix import split
from limbeck.models.stages import classifier_of
from limbeck.models.weights import load_weights, save_weights
from limbeck.train.settings import Settings, build_optimizer

SHAPE = (1, 8, 8)
TASKS = {"parity": 2, "size": 3}


def model_of(net: nn.Module) -> Adapted:
    torch.manual_seed(0)
    model = Adapted(net, classes=10)
    give_heads(model, TASKS, torch.zeros(2, *SHAPE))
    return model


def images(count: int = 4) -> Tensor:
    return torch.rand(count, *SHAPE, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("net", [MLP(SHAPE, 10, hidden=(16,)), CNN(SHAPE, 10, width=4)], ids=["mlp", "cnn"])
def test_heads_answer_from_the_vector_before_the_classifier(net: nn.Module) -> None:
    before = Adapted(copy.deepcopy(net), classes=10).eval()
    model = model_of(net).eval()
    path = classifier_of(before, images())
    assert model.several == path
    with before.hearing((path,)) as heard:
        logits = before(images()).logits
    outputs = model(images())
    torch.testing.assert_close(outputs.logits, logits, rtol=0, atol=0)
    layer = model.many_heads
    assert layer is not None and list(outputs.heads) == ["parity", "size"]
    for name, classes in TASKS.items():
        weight, bias = (layer.get_parameter(f"{kind}_{name}") for kind in ("weight", "bias"))
        assert outputs.heads[name].shape == (4, classes)
        torch.testing.assert_close(outputs.heads[name], functional.linear(heard[path], weight, bias))
    assert layer.take() == {}, "nothing is kept between two forward passes"
    copy.deepcopy(model)


def test_new_heads_are_drawn_by_the_seed_and_count_as_new() -> None:
    one, two = (model_of(MLP(SHAPE, 10, hidden=(16,))) for _ in range(2))
    assert set(one.fresh) == {f"head.{kind}_{name}" for name in TASKS for kind in ("weight", "bias")}
    torch.testing.assert_close(one.net.state_dict()["head.weight_size"], two.net.state_dict()["head.weight_size"])


def test_a_card_makes_them_again(tmp_path: Path) -> None:
    model = model_of(MLP(SHAPE, 10, hidden=(16,))).eval()
    card = {"heads": described(model, {"parity": ("even", "odd"), "size": ("a", "b", "c")})}
    save_weights(tmp_path, model.net, card)
    again = with_heads(MLP(SHAPE, 10, hidden=(16,)), card)
    load_weights(again, tmp_path / "model.safetensors")
    for name, said in model(images()).heads.items():
        torch.testing.assert_close(Adapted(again, classes=10).eval()(images()).heads[name], said)
    plain = MLP(SHAPE, 10, hidden=(16,))
    assert with_heads(plain, {"heads": None}) is plain and described(Adapted(plain, classes=10), {}) is None


def test_what_is_done_to_a_classifier_is_done_to_all_heads() -> None:
    model = model_of(CNN(SHAPE, 10, width=4))
    groups = build_optimizer(Settings(head_factor=10.0), model).param_groups
    assert {10.0: 6, 1.0: sum(1 for _ in model.parameters()) - 6} == {
        one["factor"]: len(one["params"]) for one in groups
    }
    freeze(model, ["backbone"], images())
    assert {name.partition(".")[0] for name, one in model.net.named_parameters() if one.requires_grad} == {"head"}
    halves = split(model, images())
    assert halves is not None, "a frozen body is asked once, with several heads too"
    said, whole = halves.rest(halves.body(images()).logits), model(images())
    torch.testing.assert_close(said.logits, whole.logits)
    torch.testing.assert_close(said.heads["size"], whole.heads["size"])


class Scaled(nn.Module):
    """Something comes after the last layer."""

    def __init__(self) -> None:
        super().__init__()
        self.net = LeNet5((1, 28, 28), 10)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.net(x) * 3
        return out


class Places(nn.Module):
    """A classifier that is a convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Conv2d(1, 10, 8)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.last(x).flatten(1)
        return out


@pytest.mark.parametrize(("net", "shape"), [(Scaled(), (1, 28, 28)), (Places(), SHAPE)], ids=["scaled", "convolution"])
def test_a_last_layer_that_does_not_make_the_logits_of_a_vector_is_refused(
    net: nn.Module, shape: tuple[int, ...]
) -> None:
    model = Adapted(net, classes=10)
    with pytest.raises(ModelError, match=r"tasks expects a student whose last layer is a linear one"):
        give_heads(model, TASKS, torch.rand(2, *shape))


def test_a_layer_says_what_it_is() -> None:
    assert "parity=2" in repr(ManyHeads(nn.Linear(3, 4), {"parity": 2}))
