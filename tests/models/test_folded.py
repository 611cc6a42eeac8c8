"""Batch norm folded into the layers before it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from limbeck.models import CNN, VGG, WRN, ResNet
from limbeck.models.adapt import Adapted, Normalise
from limbeck.models.folded import folded
from limbeck.models.weights import checksum

INPUTS = torch.rand(8, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def settled(net: nn.Module) -> Adapted:
    """Return a model whose batch norm has seen data, in training mode."""
    model = Adapted(net, classes=4, normalise=Normalise([0.4] * 3, [0.3] * 3))
    model.train()
    with torch.no_grad():
        for norm in (one for one in net.modules() if isinstance(one, nn.BatchNorm1d | nn.BatchNorm2d)):
            nn.init.uniform_(norm.weight, 0.5, 1.5)
            nn.init.uniform_(norm.bias, -0.5, 0.5)
        for _ in range(3):
            model(INPUTS)
    return model


def norms(net: nn.Module) -> int:
    return sum(isinstance(one, nn.BatchNorm1d | nn.BatchNorm2d) for one in net.modules())


class Early(nn.Module):
    """What comes out of the convolution is used beside batch norm, too."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.norm, self.head = nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.Linear(6, 4)

    def forward(self, inputs: Tensor) -> Tensor:
        seen = self.layer(inputs)
        logits: Tensor = self.head((seen + self.norm(seen).relu()).mean((2, 3)))
        return logits


SHAPE = (3, 16, 16)
DENSE = nn.Sequential(nn.Flatten(), nn.Linear(768, 9), nn.BatchNorm1d(9), nn.ReLU(), nn.Linear(9, 4))


@pytest.mark.parametrize(
    ("net", "left"),
    [(CNN(SHAPE, 4, width=4), 0), (VGG(SHAPE, 4), 0), (ResNet(SHAPE, 4), 0), (DENSE, 0), (Early(), 1)],
    ids=["cnn", "vgg", "resnet", "dense", "used twice"],
)
def test_the_logits_stay_the_same(net: nn.Module, left: int) -> None:
    model = settled(net)
    before, kind = checksum(model.net), {name: type(module) for name, module in model.named_modules()}
    made = folded(model, INPUTS[:4])
    assert (norms(model.net) > 0) and norms(made.net) == left and not made.training
    assert checksum(model.net) == before and model.training
    assert {name: type(module) for name, module in model.named_modules()} == kind
    with torch.no_grad():
        torch.testing.assert_close(made(INPUTS).logits, model.eval()(INPUTS).logits, rtol=1e-4, atol=1e-4)


def test_batch_norm_before_its_layer_is_folded_only_where_nothing_else_sees_what_it_norms() -> None:
    model = settled(WRN(SHAPE, 4))
    made = folded(model, INPUTS[:4])
    assert 0 < norms(made.net) < norms(model.net)
    with torch.no_grad():
        torch.testing.assert_close(made(INPUTS).logits, model.eval()(INPUTS).logits, rtol=1e-4, atol=1e-4)


def test_a_module_that_looks_at_its_batch_norm_keeps_it() -> None:
    class Looks(nn.Sequential):
        def forward(self, inputs: Tensor) -> Tensor:
            return super().forward(inputs) * self[1].weight.sum()  # type: ignore[operator, no-any-return]

    net = Looks(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    assert norms(folded(settled(net), INPUTS).net) == 1


def test_statistics_of_the_batch_are_not_folded() -> None:
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, track_running_stats=False), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )
    assert norms(folded(settled(net), INPUTS).net) == 1
