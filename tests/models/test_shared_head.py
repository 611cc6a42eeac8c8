"""A network that answers through another's classifier."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import onnx
import pytest
import torch
from torch import Tensor, nn

from limbeck.models import CNN, MLP, Attention, ResNet
from limbeck.models.adapt import Adapted, find_logits
from limbeck.models.shared_head import SharedHead, reheaded
from limbeck.models.stages import stages_of
from limbeck.models.work import multiply_adds

PICTURE, CLASSES = (1, 8, 8), 3


class Answers(nn.Module):
    """A network that returns a dict, as some do."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.last = nn.Flatten(), nn.Sequential(nn.ReLU(), nn.Linear(64, CLASSES))

    def forward(self, inputs: Tensor) -> dict[str, Tensor]:
        return {"logits": self.last(self.body(inputs))}


def made(backbone: nn.Module, replaces: str = "head", **options: Any) -> SharedHead:
    torch.manual_seed(0)
    return SharedHead(backbone, replaces=replaces, width=10, classes=CLASSES, **options)


NETS: list[tuple[Callable[[], nn.Module], str]] = [
    (lambda: MLP(PICTURE, CLASSES, hidden=(6,)), "head"),
    (lambda: CNN(PICTURE, CLASSES, width=2), "head"),
    (lambda: ResNet(PICTURE, CLASSES, depth=8), "head"),
    (lambda: Attention(PICTURE, CLASSES, width=8), "head"),
    (Answers, "last.1"),
]


@pytest.mark.parametrize(("make", "replaces"), NETS)
def test_it_is_backbone_projector_and_head(make: Callable[[], nn.Module], replaces: str) -> None:
    plain, inputs = make().eval(), torch.randn(4, *PICTURE)
    logits = find_logits(plain(inputs), CLASSES)
    classifier = plain.get_submodule(replaces)
    assert isinstance(classifier, nn.Linear)
    net = made(plain, replaces).eval()
    vector = net.vector(inputs)
    torch.testing.assert_close(classifier(vector), logits)
    first, norm, _, last = net.projector
    hidden = (vector @ first.weight.T - norm.running_mean) / (norm.running_var + norm.eps).sqrt()
    hidden = (hidden * norm.weight + norm.bias).clamp_min(0)
    wanted = (hidden @ last.weight.T + last.bias) @ net.head.weight.T + net.head.bias
    torch.testing.assert_close(net(inputs), wanted)


def test_everything_but_the_head_learns() -> None:
    net = made(ResNet(PICTURE, CLASSES, depth=8))
    net(torch.randn(4, *PICTURE)).square().sum().backward()
    assert [name for name, one in net.named_parameters() if one.grad is None] == ["head.weight", "head.bias"]


def test_the_last_layer_to_compare_is_what_the_head_gets() -> None:
    model = Adapted(made(CNN(PICTURE, CLASSES, width=2)), classes=CLASSES).eval()
    inputs = torch.randn(4, *PICTURE)
    name = stages_of(model, inputs)[-1]
    model.listen_to([name])
    said = model(inputs)
    torch.testing.assert_close(model.net.head(said.features[name]), said.logits)  # type: ignore[operator, union-attr]


def test_all_of_it_is_counted() -> None:
    plain = MLP(PICTURE, CLASSES, hidden=(6,))
    net = made(plain)
    sizes = [64 * 6, 6 * 5, 5 * 10, 10 * 3]
    assert multiply_adds(Adapted(net, classes=CLASSES).eval(), torch.randn(1, *PICTURE)) == sum(sizes)
    assert sum(one.numel() for one in net.parameters()) == sum(sizes) + 6 + 2 * 5 + 10 + 3


@pytest.mark.parametrize("bias", [True, False])
def test_a_card_makes_it_again(bias: bool) -> None:
    net = made(MLP(PICTURE, CLASSES), bias=bias)
    card = {"classes": ["a", "b", "c"], "shared_classifier": net.described()}
    again = reheaded(MLP(PICTURE, CLASSES), card)
    again.load_state_dict(net.state_dict())
    inputs = torch.randn(4, *PICTURE)
    assert torch.equal(net.eval()(inputs), again.eval()(inputs))


@pytest.mark.parametrize("card", [{}, {"shared_classifier": None}])
def test_other_cards_leave_a_net_as_it_is(card: dict[str, Any]) -> None:
    plain = MLP(PICTURE, CLASSES)
    assert reheaded(plain, card) is plain


def test_it_is_exported(export: Callable[[nn.Module, tuple[int, ...], str], onnx.ModelProto]) -> None:
    export(made(CNN(PICTURE, CLASSES, width=2)), PICTURE, "image")
