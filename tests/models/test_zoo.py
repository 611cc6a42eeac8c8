from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import limbeck.models
from limbeck.errors import ModelError
from limbeck.models import CNN, MLP, LeNet5, LeNet5_Half, Linear
from limbeck.models.trees import Trees

GREY = (1, 28, 28)
SMALLEST = {
    "Attention": 1, "Boosting": 1, "CNN": 4, "Forest": 1, "GRU": 1, "LeNet5": 12, "LeNet5_Half": 12, "Linear": 1,
    "MLP": 1, "ResNet": 8, "Tree": 1, "VGG": 8, "WRN": 8,
}  # fmt: skip


def parameters(net: nn.Module) -> int:
    return sum(parameter.numel() for parameter in net.parameters())


def test_parameter_counts_that_are_known() -> None:
    assert parameters(LeNet5(GREY, 10)) == 61_706
    assert parameters(LeNet5_Half(GREY, 10)) == 15_738
    assert parameters(Linear(GREY, 10)) == 7_850
    assert parameters(MLP(GREY, 10, hidden=(32, 16))) == 784 * 32 + 32 + 32 * 16 + 16 + 16 * 10 + 10
    assert parameters(MLP(GREY, 10, hidden=())) == parameters(Linear(GREY, 10))
    cnn = 1 * 9 * 4 + 8 + 4 * 9 * 4 + 8 + 4 * 9 * 8 + 16 + 8 * 9 * 8 + 16 + 8 * 10 + 10
    assert parameters(CNN(GREY, 10, width=4)) == cnn


def test_every_exported_architecture_is_in_the_tests() -> None:
    assert set(limbeck.models.__all__) == set(SMALLEST)


@pytest.mark.parametrize("name", limbeck.models.__all__)
@given(data=st.data())
@settings(max_examples=8)
def test_any_size_gives_logits_and_a_gradient_everywhere(name: str, data: st.DataObject) -> None:
    least = SMALLEST[name]
    shape = (data.draw(st.integers(1, 4)), data.draw(st.integers(least, 33)), data.draw(st.integers(least, 33)))
    classes, size = data.draw(st.integers(2, 7)), data.draw(st.integers(1, 4))
    net = getattr(limbeck.models, name)(shape, classes)
    logits: Tensor = net(torch.rand(size, *shape))
    assert logits.shape == (size, classes) and logits.dtype == torch.float32
    if isinstance(net, Trees):  # which are not trained by gradients
        assert not any(parameter.requires_grad for parameter in net.parameters())
        return
    logits.square().sum().backward()
    assert all(parameter.grad is not None for parameter in net.parameters())


@pytest.mark.parametrize("name", limbeck.models.__all__)
def test_in_evaluation_mode_a_sample_does_not_see_its_batch(name: str) -> None:
    net = getattr(limbeck.models, name)((1, 12, 14), 3).eval()
    inputs = torch.rand(5, 1, 12, 14)
    torch.testing.assert_close(net(inputs)[2:3], net(inputs[2:3]))


@pytest.mark.parametrize("kind", [MLP, Linear])
def test_vectors_are_welcome_where_there_is_no_convolution(kind: type[nn.Module]) -> None:
    assert kind((9,), 3)(torch.rand(4, 9)).shape == (4, 3)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_a_deeper_cnn_halves_the_picture_and_doubles_the_width(depth: int) -> None:
    net = CNN((3, 32, 24), 5, width=2, depth=depth)
    shape = net.body(torch.rand(2, 3, 32, 24)).shape
    assert shape == (2, 2 * 2 ** (depth - 1), 32 // 2**depth, 24 // 2**depth)


def test_dropout_acts_in_training_only() -> None:
    inputs = torch.rand(64, 1, 8, 8)
    for net in (
        MLP((1, 8, 8), 3, hidden=(16, 16), dropout=0.5),
        MLP((1, 8, 8), 3, input_dropout=0.5),
        CNN((1, 8, 8), 3, width=2, dropout=0.5),
    ):
        net.train()
        assert not torch.equal(net(inputs), net(inputs))
        net.eval()
        assert torch.equal(net(inputs), net(inputs))


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (
            lambda: CNN((1, 7, 9), 10, depth=3),
            "cnn with depth 3 expects pictures [channels, height, width] of at least 8 x 8 pixels, "
            "got samples of shape [1, 7, 9].",
        ),
        (
            lambda: CNN((64,), 10),
            "cnn with depth 2 expects pictures [channels, height, width] of at least 4 x 4 pixels, "
            "got samples of shape [64].",
        ),
        (
            lambda: LeNet5((1, 8, 8), 10),
            "lenet5 expects pictures [channels, height, width] of at least 12 x 12 pixels, "
            "got samples of shape [1, 8, 8].",
        ),
    ],
)
def test_samples_that_do_not_fit_get_a_sentence(build: object, sentence: str) -> None:
    with pytest.raises(ModelError) as caught:
        build()  # type: ignore[operator]
    assert str(caught.value) == sentence


def test_lenet_widths_are_those_of_its_layers() -> None:
    net = LeNet5(GREY, 4, widths=(2, 3, 5, 7))
    shapes = [list(p.shape) for p in net.parameters() if p.ndim > 1]
    assert shapes == [[2, 1, 5, 5], [3, 2, 5, 5], [5, 3 * 5 * 5], [7, 5], [4, 7]]
    assert math.prod(net(torch.rand(1, *GREY)).shape) == 4
