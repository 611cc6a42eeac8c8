from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor, nn

from limbeck.errors import ModelError
from limbeck.models import Attention
from limbeck.models.attention import Layer
from limbeck.recipe.schema import section_of


def same_in_torch(layer: Layer, width: int, heads: int) -> nn.TransformerEncoderLayer:
    """PyTorch's own encoder layer with the same weights."""
    other = nn.TransformerEncoderLayer(
        width, heads, 4 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
    )
    attention = other.self_attn
    pairs = [
        (attention.in_proj_weight, layer.project.weight),
        (attention.out_proj.weight, layer.merge.weight), (attention.out_proj.bias, layer.merge.bias),
        (other.linear1.weight, layer.mlp[0].weight), (other.linear1.bias, layer.mlp[0].bias),
        (other.linear2.weight, layer.mlp[2].weight), (other.linear2.bias, layer.mlp[2].bias),
        (other.norm1.weight, layer.before_attention.weight), (other.norm1.bias, layer.before_attention.bias),
        (other.norm2.weight, layer.before_mlp.weight), (other.norm2.bias, layer.before_mlp.bias),
    ]  # fmt: skip
    with torch.no_grad():
        attention.in_proj_bias.zero_()
        for theirs, ours in pairs:
            theirs.copy_(ours)
    return other


@pytest.mark.parametrize(("width", "heads"), [(8, 1), (8, 2), (12, 4)])
def test_a_layer_equals_that_of_pytorch(width: int, heads: int) -> None:
    torch.manual_seed(0)
    layer, tokens = Layer(width, heads, 0.0), torch.randn(3, 5, width)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    torch.testing.assert_close(layer(tokens), same_in_torch(layer, width, heads)(tokens), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("height", "width"), [(8, 8), (9, 7), (3, 12), (1, 1)])
def test_a_token_is_a_patch_and_zeros_fill_the_last(height: int, width: int) -> None:
    torch.manual_seed(0)
    net, picture = Attention((2, height, width), 3, width=8), torch.randn(2, height, width)
    kernel, bias = (parameter.detach() for parameter in net.tokens.parameters())
    wanted: list[Tensor] = []
    for top in range(0, height, 4):
        for left in range(0, width, 4):
            piece = picture[:, top : top + 4, left : left + 4]
            wanted.append((kernel[:, :, : piece.shape[1], : piece.shape[2]] * piece).sum(dim=(1, 2, 3)) + bias)
    torch.testing.assert_close(net.tokens(picture[None])[0], torch.stack(wanted), rtol=1e-4, atol=1e-5)
    assert len(net.position) == len(wanted)


def test_without_positions_the_order_of_tokens_does_not_matter_and_with_them_it_does() -> None:
    torch.manual_seed(0)
    net, inputs = Attention((6, 3), 4, width=8), torch.randn(2, 6, 3)
    with torch.no_grad():
        net.position.normal_()
        assert not torch.allclose(net(inputs), net(inputs.flip(1)), atol=1e-3)
        net.position.zero_()
        torch.testing.assert_close(net(inputs), net(inputs.flip(1)), rtol=1e-4, atol=1e-5)


def test_a_vector_is_a_sequence_of_its_values() -> None:
    torch.manual_seed(0)
    net, other, inputs = Attention((6,), 3, width=8), Attention((6, 1), 3, width=8), torch.randn(2, 6)
    names = dict(zip(net.state_dict(), other.state_dict(), strict=True))
    other.load_state_dict({names[name]: value for name, value in net.state_dict().items()})
    torch.testing.assert_close(net(inputs), other(inputs[:, :, None]))


def test_parameters_by_hand() -> None:
    net = Attention((3, 32, 32), 10)
    layer = 64 * 192 + 64 * 64 + 64 + 64 * 256 + 256 + 256 * 64 + 64 + 4 * 64
    wanted = 3 * 16 * 64 + 64 + 64 * 64 + 2 * layer + 2 * 64 + 64 * 10 + 10
    assert sum(parameter.numel() for parameter in net.parameters()) == wanted == 107_594


SHAPES = st.lists(st.integers(1, 20), min_size=1, max_size=3).map(tuple)


@given(
    shape=SHAPES, count=st.integers(1, 3), classes=st.integers(2, 5), depth=st.integers(1, 3), patch=st.integers(1, 6)
)
@settings(max_examples=30)
def test_vectors_sequences_and_pictures_get_logits(
    shape: tuple[int, ...], count: int, classes: int, depth: int, patch: int
) -> None:
    net = Attention(shape, classes, width=4, heads=2, depth=depth, patch=patch)
    inputs = torch.rand(count, *shape)
    logits = net(inputs)
    assert logits.shape == (count, classes)
    torch.testing.assert_close(net(inputs[:1]), logits[:1], rtol=1e-4, atol=1e-5)


def test_dropout_acts_in_training_only() -> None:
    net, inputs = Attention((5, 3), 3, width=8, dropout=0.5), torch.rand(8, 5, 3)
    assert not torch.equal(net(inputs), net(inputs))
    net.eval()
    assert torch.equal(net(inputs), net(inputs))


def test_the_seed_decides() -> None:
    answers = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        answers.append(Attention((4, 2), 3, width=8, dropout=0.2)(torch.ones(2, 4, 2)))
    assert torch.equal(answers[0], answers[1]) and not torch.equal(answers[0], answers[2])


@pytest.mark.parametrize("shape", [(1, 9, 8), (6, 3), (7,)])
def test_it_learns_and_a_gradient_reaches_every_parameter(silent: Any, losses: Any, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    net = Attention(shape, 3, width=16)
    assert silent(net, shape) == []
    found = losses(net, shape)
    assert found[-1] < 0.7 * found[0]


@pytest.mark.parametrize(("shape", "kind"), [((1, 9, 8), "image"), ((5, 3), "vector")])
def test_the_exported_file_gives_the_same_answers(export: Any, shape: tuple[int, ...], kind: str) -> None:
    export(Attention(shape, 3, width=8, depth=1, heads=2, dropout=0.1), shape, kind)


@pytest.mark.parametrize("shape", [(), (1, 2, 3, 4)])
def test_samples_that_do_not_fit_get_a_sentence(shape: tuple[int, ...]) -> None:
    with pytest.raises(ModelError) as caught:
        Attention(shape, 10)
    assert str(caught.value) == (
        f"attention expects sequences [steps, features], pictures [channels, height, width] or vectors [features], "
        f"got samples of shape {list(shape)}."
    )


def test_heads_that_do_not_divide_the_width_get_a_sentence() -> None:
    with pytest.raises(ModelError) as caught:
        Attention((4, 2), 3, width=10, heads=4)
    assert str(caught.value) == "attention expects a width that heads divides, got width 10 and 4 heads."


def test_what_a_recipe_may_set() -> None:
    assert section_of(Attention)().model_dump() == {"width": 64, "depth": 2, "heads": 4, "patch": 4, "dropout": 0.0}
    for wrong in ({"width": 0}, {"heads": 0}, {"patch": 0}, {"dropout": 1.0}):
        with pytest.raises(ValidationError):
            section_of(Attention)(**wrong)
