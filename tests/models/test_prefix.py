"""A frozen body and what learns from its vectors give what the whole network gives, gradients and dropout too."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from limbeck.models import CNN, MLP, Attention, ResNet
from limbeck.models.adapt import Adapted, Normalise
from limbeck.models.freeze import freeze, frozen_checksum
from limbeck.models.prefix import split

PICTURE, CLASSES = (1, 8, 8), 3
INPUTS = torch.rand(16, *PICTURE, generator=torch.manual_seed(1))
LABELS = torch.arange(16) % CLASSES

NETS: list[Callable[[], nn.Module]] = [
    lambda: MLP(PICTURE, CLASSES, hidden=(6, 5)),
    lambda: MLP(PICTURE, CLASSES, hidden=(6, 50), dropout=0.3, input_dropout=0.1),
    lambda: CNN(PICTURE, CLASSES, width=2),
    lambda: CNN(PICTURE, CLASSES, width=8, dropout=0.4),
    lambda: ResNet(PICTURE, CLASSES, depth=8),
    lambda: Attention(PICTURE, CLASSES, width=8, dropout=0.2),
]


def network(make: Callable[[], nn.Module], patterns: tuple[str, ...] = ("backbone",)) -> Adapted:
    """Return a network whose batch norm has seen something, frozen."""
    torch.manual_seed(0)
    model = Adapted(make(), classes=CLASSES, normalise=Normalise([0.4], [0.3])).train()
    with torch.no_grad():
        model(INPUTS)
    freeze(model, patterns, INPUTS[:2])
    return model


def gradients(logits: Tensor, model: Adapted) -> dict[str, Tensor]:
    loss = functional.cross_entropy(logits, LABELS)
    learning = {name: one for name, one in model.net.named_parameters() if one.requires_grad}
    return dict(zip(learning, torch.autograd.grad(loss, list(learning.values())), strict=True))


@pytest.mark.parametrize("make", NETS)
def test_logits_gradients_and_dropout_are_those_of_the_whole(make: Callable[[], nn.Module]) -> None:
    model = network(make)
    halves = split(model, INPUTS[:8])
    assert halves is not None and halves.rest.training and not halves.body.training
    vectors = halves.body(INPUTS).logits
    assert vectors.shape == (16, halves.body.classes)
    torch.manual_seed(7)
    live = gradients(model(INPUTS).logits, model)
    torch.manual_seed(7)
    found = gradients(halves.rest(vectors).logits, halves.rest)
    assert live.keys() == found.keys() and len(found) == 2
    for name, gradient in live.items():
        torch.testing.assert_close(found[name], gradient)
    torch.testing.assert_close(halves.rest.eval()(vectors).logits, model.eval()(INPUTS).logits)


def test_what_trains_the_rest_trains_the_model_and_its_names_are_the_models() -> None:
    model = network(NETS[3])
    model.fresh = ("head.weight",)
    halves = split(model, INPUTS[:8])
    assert halves is not None and halves.rest.fresh == model.fresh
    before = frozen_checksum(model)
    wanted = {name for name, one in model.net.named_parameters() if one.requires_grad}
    assert set(halves.rest.net.state_dict()) == wanted
    state = {name: torch.ones_like(value) for name, value in halves.rest.net.state_dict().items()}
    halves.rest.net.load_state_dict(state)
    assert all(bool((model.net.state_dict()[name] == 1).all()) for name in wanted)
    assert frozen_checksum(model) == before


def test_splitting_leaves_the_model_as_it_is() -> None:
    model = network(NETS[4])
    before = copy.deepcopy(model.net.state_dict())
    numbers = torch.get_rng_state()
    split(model.eval(), INPUTS[:8])
    assert not model.training and torch.equal(torch.get_rng_state(), numbers)
    assert all(torch.equal(value, before[name]) for name, value in model.net.state_dict().items())


class Odd(nn.Module):
    """A body and a classifier with something between or after them."""

    def __init__(self, *, drops: bool = False, norm: bool = False, after: bool = False, twice: bool = False) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(64, 6), nn.Linear(6, CLASSES)
        self.norm = nn.BatchNorm1d(6, affine=False) if norm else nn.Identity()
        self.drops, self.after, self.twice = drops, after, twice

    def forward(self, inputs: Tensor) -> Tensor:
        vector = self.norm(self.body(inputs.flatten(1)))
        vector = functional.dropout(vector, 0.2, self.training and self.drops)
        logits = self.head(vector)
        logits = logits + self.head(vector.square()) if self.twice else logits
        return logits.relu() if self.after else logits


@pytest.mark.parametrize("wrong", ["drops", "norm", "after", "twice"])
def test_what_is_no_fixed_function_stays_whole(wrong: str) -> None:
    model = network(lambda: Odd(**{wrong: True}))
    assert split(model, INPUTS[:8]) is None
    plain = network(Odd)
    assert split(plain, INPUTS[:8]) is not None


def test_a_body_that_learns_stays_whole() -> None:
    for patterns in ((), ("head.bias",), ("body.3*",)):
        model = network(NETS[0], patterns)
        assert split(model, INPUTS[:8]) is None


def deep() -> nn.Module:
    """A body of convolutions, as VGG has it, and several layers on its vector, with all that a layer may have."""
    body = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(2))
    last = (nn.Linear(16, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(0.4), nn.Linear(6, 5), nn.Dropout(0.3))
    return nn.Sequential(body, nn.Flatten(), *last, nn.Linear(5, CLASSES))


@pytest.mark.parametrize(
    ("make", "patterns", "width", "learning"),
    [
        (deep, ("0",), 16, 8),
        (deep, ("0", "2"), 6, 6),
        (deep, ("0", "2", "3", "6"), 5, 2),
        (deep, ("0", "3"), 16, 6),
        (NETS[0], ("body.1",), 6, 4),
        (NETS[1], ("body.2",), 6, 4),
    ],
)  # fmt: skip
def test_several_layers_at_the_end_learn_from_a_vector(
    make: Callable[[], nn.Module], patterns: tuple[str, ...], width: int, learning: int
) -> None:
    model = network(make, patterns)
    halves = split(model, INPUTS[:8])
    assert halves is not None and halves.body.classes == width
    whole = copy.deepcopy(model)
    vectors = halves.body(INPUTS).logits
    torch.manual_seed(7)
    live = gradients(whole.train()(INPUTS).logits, whole)
    torch.manual_seed(7)
    found = gradients(halves.rest.train()(vectors).logits, halves.rest)
    assert live.keys() == found.keys() and len(found) == learning
    for name, gradient in live.items():
        torch.testing.assert_close(found[name], gradient)
    for name, value in whole.net.state_dict().items():
        torch.testing.assert_close(model.net.state_dict()[name], value)  # statistics of batch norm at the end too
    torch.testing.assert_close(halves.rest.eval()(vectors).logits, model.eval()(INPUTS).logits)


def test_a_body_that_gives_maps_stays_whole() -> None:
    assert split(network(NETS[2], ("body.0*",)), INPUTS[:8]) is None
    assert split(network(deep, ("0.0",)), INPUTS[:8]) is None


def test_a_classifier_that_is_no_linear_layer_stays_whole() -> None:
    def make() -> nn.Module:
        return nn.Sequential(nn.Conv2d(1, 4, 3), nn.Conv2d(4, CLASSES, 6), nn.Flatten())

    model = network(make)
    assert split(model, INPUTS[:8]) is None
