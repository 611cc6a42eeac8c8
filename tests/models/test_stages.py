"""Which layers others may be compared with, in networks of every kind."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from limbeck.models import CNN, GRU, MLP, VGG, WRN, Attention, LeNet5, Linear, ResNet
from limbeck.models.adapt import Adapted
from limbeck.models.stages import stages_of

PICTURES = (3, 32, 32)


class Gated(nn.Module):
    """Two sizes with gates that look at channel means, in-place activations, blocks in a row, flattened by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.gate, self.relu = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 4, 1), nn.ReLU(inplace=True)
        self.second, self.after = nn.Conv2d(4, 6, 3, stride=2, padding=1), nn.ReLU(inplace=True)
        self.fc = nn.Linear(6, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        wide = self.first(inputs)
        wide = self.relu(wide * self.gate(wide.mean((2, 3), keepdim=True)))
        return self.fc(self.after(self.second(wide)).mean((2, 3)))


class Twice(nn.Module):
    """A convolution that is used twice, and so has no one output."""

    def __init__(self) -> None:
        super().__init__()
        self.same, self.last, self.fc = nn.Conv2d(1, 1, 3, padding=1), nn.Conv2d(1, 2, 2, stride=2), nn.Linear(2, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.fc(self.last(self.same(self.same(inputs))).mean((2, 3)))


class Narrow(nn.Module):
    """A block that narrows its channels at the size of its input, and halves that after."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.reduce, self.halve = nn.Conv2d(inputs, 2, 1), nn.Conv2d(2, outputs, 3, stride=2, padding=1)
        self.relu = nn.ReLU()

    def forward(self, inputs: Tensor) -> Tensor:
        return self.relu(self.halve(self.relu(self.reduce(inputs))))


class Stack(nn.Module):
    """Blocks in a module of its own, and a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.ModuleDict({"a": Narrow(1, 6), "b": Narrow(6, 8)})
        self.fc = nn.Linear(8, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.fc(self.body["b"](self.body["a"](inputs)).mean((2, 3)))


class Convolved(nn.Module):
    """A classifier that is a convolution, pooled after."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2))
        self.classifier = nn.Sequential(nn.Conv2d(4, 3, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())

    def forward(self, inputs: Tensor) -> tuple[Tensor, None]:
        return self.classifier(self.body(inputs)), None


CASES = {
    "cnn": (CNN((1, 8, 8), 3, width=2), (1, 8, 8), {"body.1.2": (2, 8, 8), "body.4.2": (4, 4, 4), "pool.1": (4,)}),
    "mlp": (MLP((1, 8, 8), 3, hidden=[8, 8], dropout=0.1), (1, 8, 8), {"body.2": (8,), "body.5": (8,)}),
    "resnet": (
        ResNet(PICTURES, 3),
        PICTURES,
        {"body.2": (16, 32, 32), "body.5": (32, 16, 16), "body.8": (64, 8, 8), "pool.1": (64,)},
    ),
    "wrn": (
        WRN(PICTURES, 3),
        PICTURES,
        {"body.1": (16, 32, 32), "body.3": (32, 16, 16), "body.7": (64, 8, 8), "pool.1": (64,)},
    ),
    "vgg": (
        VGG(PICTURES, 3),
        PICTURES,
        {
            "body.2": (64, 32, 32), "body.6": (128, 16, 16), "body.10": (256, 8, 8), "body.17": (512, 4, 4),
            "pool.1": (512,),
        },
    ),
    "lenet5": (
        LeNet5((1, 28, 28), 3),
        (1, 28, 28),
        {"body.1": (6, 28, 28), "body.4": (16, 10, 10), "body.6": (400,), "body.8": (120,), "body.10": (84,)},
    ),
    "gru": (GRU((1, 8, 8), 3, width=5), (1, 8, 8), {"body": (8, 5), "dropout": (5,)}),
    "attention": (
        Attention((1, 8, 8), 3, width=8, depth=3), (1, 8, 8), {f"body.{layer}": (4, 8) for layer in range(3)}
    ),
    "attention of one layer": (Attention((1, 8, 8), 3, width=8, depth=1), (1, 8, 8), {"body.1": (4, 8)}),
    "linear": (Linear((1, 8, 8), 3), (1, 8, 8), {}),
    "bare": (nn.Sequential(nn.Flatten(), nn.Linear(64, 3)), (1, 8, 8), {}),
    "gates": (Gated(), (1, 8, 8), {"relu": (4, 8, 8), "after": (6, 4, 4)}),
    "blocks that narrow": (Stack(), (1, 8, 8), {"body.a": (6, 4, 4), "body.b": (8, 2, 2)}),
    "used twice": (Twice(), (1, 8, 8), {"last": (2, 4, 4)}),
    "classifier of convolutions": (Convolved(), (1, 8, 8), {"body.1": (4, 6, 6)}),
}  # fmt: skip


@pytest.mark.parametrize("kind", CASES)
def test_the_stages_of(kind: str) -> None:
    net, shape, wanted = CASES[kind]
    model, inputs = Adapted(net, classes=3).train(), torch.rand(2, *shape)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    names = stages_of(model, inputs)
    model.eval().listen_to(names)
    found = {name: tuple(value.shape[1:]) for name, value in model(inputs).features.items()}
    model.listen_to(())
    assert found == wanted
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_the_mode_is_put_back_and_no_hook_stays() -> None:
    model = Adapted(CNN((1, 8, 8), 3, width=2), classes=3)
    for mode in (True, False):
        model.train(mode)
        stages_of(model, torch.rand(2, 1, 8, 8))
        assert model.training == mode and not any(module._forward_hooks for module in model.modules())
