"""What a network gives inside: only while somebody asks, whatever its modules return."""

from __future__ import annotations

import copy
from collections import OrderedDict
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from limbeck.errors import ModelError
from limbeck.models import CNN
from limbeck.models.adapt import Adapted, Normalise

INPUTS = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def small() -> Adapted:
    torch.manual_seed(0)
    return Adapted(CNN((1, 8, 8), 3, width=2), classes=3, normalise=Normalise([0.4], [0.3]))


def hooks(model: nn.Module) -> int:
    return sum(len(module._forward_hooks) for module in model.modules())


def test_features_are_what_the_modules_give_with_their_gradient() -> None:
    model = small().eval()
    model.listen_to(["body.2", "pool"])
    outputs = model(INPUTS)
    assert list(outputs.features) == ["body.2", "pool"]
    wanted = model.net.body[:3]((INPUTS - 0.4) / 0.3)
    torch.testing.assert_close(outputs.features["body.2"], wanted)
    torch.testing.assert_close(model.net.head(outputs.features["pool"]), outputs.logits)
    outputs.features["body.2"].sum().backward()
    assert model.net.body[0][0].weight.grad is not None and model.net.head.weight.grad is None


def test_nothing_is_left_behind_and_nothing_was_there_before() -> None:
    model = small()
    assert hooks(model) == 0 and model(INPUTS).features == {}
    model.listen_to(["body.2", "body.2", "pool"])
    assert hooks(model) == 2 and model.layers == ("body.2", "pool")
    model.listen_to(["body.4"])
    assert hooks(model) == 1 and list(model(INPUTS).features) == ["body.4"]
    assert not model._said, "no tensor outlives its forward pass"
    model.listen_to(())
    assert hooks(model) == 0 and model(INPUTS).features == {}


def test_listening_changes_no_logits_and_no_state() -> None:
    model = small()
    logits, names = model(INPUTS).logits, sorted(model.state_dict())
    again = small()
    again.listen_to(["body.0", "body.1.2"])
    assert torch.equal(again(INPUTS).logits, logits) and sorted(again.state_dict()) == names


def test_the_sources_head_answers_beside_the_new_one_while_it_is_asked_to() -> None:
    model, inputs = Adapted(nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2)), classes=2), torch.rand(5, 3)
    weight, bias = torch.randn(7, 4), torch.randn(7)
    model.left = {"1.weight": weight, "1.bias": bias}
    alone = model(inputs)
    model.answer_as_source()
    model.listen_to(["0"])
    both = model(inputs)
    assert model.is_heard and torch.equal(both.logits, alone.logits)
    torch.testing.assert_close(both.heads["source"], both.features["0"] @ weight.T + bias)
    model.answer_as_source(False)
    assert not model(inputs).heads and not alone.heads
    model.left = None
    with pytest.raises(ModelError, match="gives a pretrained model without its own head"):
        model.answer_as_source()


def test_a_copy_listens_for_itself() -> None:
    model = small().eval()
    model.listen_to(["body.2"])
    other = copy.deepcopy(model)
    other.listen_to(["pool"])
    assert list(model(INPUTS).features) == ["body.2"] and list(other(INPUTS).features) == ["pool"]
    other.listen_to(())
    assert hooks(other) == 0 and hooks(model) == 1


class Returns(nn.Module):
    """A layer that returns its features in some form, and a head on them."""

    def __init__(self, form: str) -> None:
        super().__init__()
        self.inner, self.head = Inner(form), nn.Linear(8, 3)

    def forward(self, inputs: Tensor) -> dict[str, Tensor]:
        self.inner(inputs)
        assert self.inner.last is not None
        return {"logits": self.head(self.inner.last)}


class Inner(nn.Module):
    def __init__(self, form: str) -> None:
        super().__init__()
        self.form, self.layer = form, nn.Linear(64, 8)
        self.last: Tensor | None = None

    def forward(self, inputs: Tensor) -> object:
        self.last = self.layer(inputs.flatten(1))
        return {
            "tuple": (self.last, None),
            "list": [None, self.last],
            "dict": {"none": None, "hidden": self.last, "other": self.last + 1},
            "ordered": OrderedDict(last_hidden_state=self.last),
            "nothing": None,
            "object": SimpleNamespace(hidden=self.last),
        }[self.form]


@pytest.mark.parametrize("form", ["tuple", "list", "dict", "ordered"])
def test_the_first_tensor_of_what_a_module_returns_is_its_feature(form: str) -> None:
    model = Adapted(Returns(form), classes=3)
    model.listen_to(["inner"])
    outputs = model(INPUTS)
    assert outputs.features["inner"] is model.net.inner.last


class Odd(nn.Module):
    """Modules that cannot be listened to."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.relu, self.unused = nn.Linear(64, 8), nn.ReLU(inplace=True), nn.Linear(8, 8)
        self.shared, self.head = nn.Identity(), nn.Linear(8, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.head(self.shared(self.shared(self.relu(self.layer(inputs.flatten(1))))))


@pytest.mark.parametrize(
    ("net", "name", "sentence"),
    [
        (Odd(), "layer", "The output of the layer 'layer' is written over by a later one (inplace=True); name that"),
        (Odd(), "unused", "The layer 'unused' is used 0 times in a forward pass; expected one that is used once."),
        (Odd(), "shared", "The layer 'shared' is used 2 times in a forward pass; expected one that is used once."),
        (Returns("nothing"), "inner", "The layer 'inner' returns no tensor; name a layer that does."),
        (Returns("object"), "inner", "The layer 'inner' returns no tensor; name a layer that does."),
    ],
)
def test_what_cannot_be_listened_to_gets_a_sentence(net: nn.Module, name: str, sentence: str) -> None:
    model = Adapted(net, classes=3)
    model.listen_to([name])
    for _ in range(2):
        with pytest.raises(ModelError) as caught:
            model(INPUTS)
        assert str(caught.value).startswith(sentence)


def test_a_wrong_name_lists_near_ones_and_leaves_things_as_they_were() -> None:
    model = small()
    model.listen_to(["pool"])
    for name in ("body.11", ""):
        with pytest.raises(ModelError, match=r"The network has no layer .*; near it are .*pool|body"):
            model.listen_to([name])
    assert list(model(INPUTS).features) == ["pool"]
