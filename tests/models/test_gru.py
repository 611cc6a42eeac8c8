from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import ValidationError
from scipy.special import expit
from torch import nn

from limbeck.errors import ModelError
from limbeck.models import GRU
from limbeck.recipe.schema import section_of


def slow_logits(net: GRU, steps: NDArray[Any]) -> NDArray[Any]:
    """The gate equations, one step of one layer at a time, for one sample [T, D]."""
    state = {name: value.double().numpy() for name, value in net.state_dict().items()}
    for layer in range(net.body.num_layers):
        of_input, of_state, bias, state_bias = (
            np.split(state[f"body.{kind}_l{layer}"], 3) for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        hidden, states = np.zeros(net.body.hidden_size), []
        for step in steps:
            seen = [of_input[gate] @ step + bias[gate] for gate in range(3)]
            kept = [of_state[gate] @ hidden + state_bias[gate] for gate in range(3)]
            reset, update = expit(seen[0] + kept[0]), expit(seen[1] + kept[1])
            hidden = (1 - update) * np.tanh(seen[2] + reset * kept[2]) + update * hidden
            states.append(hidden)
        steps = np.array(states)
    return state["head.weight"] @ steps[-1] + state["head.bias"]


@pytest.mark.parametrize("depth", [1, 2])
def test_answers_are_those_of_the_gate_equations(depth: int) -> None:
    torch.manual_seed(0)
    net, inputs = GRU((6, 3), 4, width=5, depth=depth, dropout=0.4).eval(), torch.randn(3, 6, 3)
    wanted = np.stack([slow_logits(net, sample) for sample in inputs.double().numpy()])
    np.testing.assert_allclose(net(inputs).detach().numpy(), wanted, atol=1e-5)


def test_a_picture_is_read_row_by_row_from_the_top() -> None:
    torch.manual_seed(0)
    net, picture = GRU((2, 5, 3), 4, width=5), torch.randn(2, 5, 3)
    rows = np.array([[*picture[0, row], *picture[1, row]] for row in range(5)], dtype=np.float64)
    np.testing.assert_allclose(net(picture[None])[0].detach().numpy(), slow_logits(net, rows), atol=1e-5)


def test_a_vector_is_read_value_by_value() -> None:
    torch.manual_seed(0)
    net, vector = GRU((6,), 4, width=5), torch.randn(6)
    wanted = slow_logits(net, vector.double().numpy()[:, None])
    np.testing.assert_allclose(net(vector[None])[0].detach().numpy(), wanted, atol=1e-5)


def test_parameters_by_hand() -> None:
    net = GRU((3, 8, 8), 10, width=16, depth=2)
    gates = 3 * (16 * 24 + 16 * 16 + 2 * 16) + 3 * (16 * 16 + 16 * 16 + 2 * 16)
    assert sum(parameter.numel() for parameter in net.parameters()) == gates + 16 * 10 + 10


SHAPES = st.lists(st.integers(1, 9), min_size=1, max_size=3).map(tuple)


@given(shape=SHAPES, count=st.integers(1, 3), classes=st.integers(2, 5), depth=st.integers(1, 3))
@settings(max_examples=30)
def test_vectors_sequences_and_pictures_get_logits(
    shape: tuple[int, ...], count: int, classes: int, depth: int
) -> None:
    net = GRU(shape, classes, width=4, depth=depth, dropout=0.2)
    assert net(torch.rand(count, *shape)).shape == (count, classes)


@given(shape=SHAPES, count=st.integers(2, 5))
@settings(max_examples=10)
def test_a_sample_does_not_see_its_batch(shape: tuple[int, ...], count: int) -> None:
    net, inputs = GRU(shape, 3, width=4), torch.linspace(0, 1, count * math.prod(shape)).reshape(count, *shape)
    torch.testing.assert_close(net(inputs)[1:2], net(inputs[1:2]))


@pytest.mark.parametrize("depth", [1, 2])
def test_dropout_acts_in_training_only(depth: int) -> None:
    net, inputs = GRU((5, 3), 3, width=16, depth=depth, dropout=0.5), torch.rand(8, 5, 3)
    assert not torch.equal(net(inputs), net(inputs))
    net.eval()
    assert torch.equal(net(inputs), net(inputs))


def test_the_seed_decides() -> None:
    answers = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        answers.append(GRU((4, 2), 3, width=5, depth=2, dropout=0.2)(torch.ones(2, 4, 2)))
    assert torch.equal(answers[0], answers[1]) and not torch.equal(answers[0], answers[2])


@pytest.mark.parametrize("shape", [(1, 8, 8), (6, 3), (7,)])
def test_it_learns_and_a_gradient_reaches_every_parameter(silent: Any, losses: Any, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    net: nn.Module = GRU(shape, 3, width=16, depth=2)
    assert silent(net, shape) == []
    found = losses(net, shape)
    assert found[-1] < 0.9 * found[0]


def test_the_exported_file_gives_the_same_answers_with_one_recurrent_node_a_layer(export: Any) -> None:
    graph = export(GRU((2, 5, 8), 3, width=4, depth=2, dropout=0.1), (2, 5, 8), "image").graph
    assert [node.op_type for node in graph.node].count("GRU") == 2


@pytest.mark.parametrize("shape", [(), (1, 2, 3, 4)])
def test_samples_that_do_not_fit_get_a_sentence(shape: tuple[int, ...]) -> None:
    with pytest.raises(ModelError) as caught:
        GRU(shape, 10)
    assert str(caught.value) == (
        f"gru expects sequences [steps, features], pictures [channels, height, width] or vectors [features], got "
        f"samples of shape {list(shape)}."
    )


def test_what_a_recipe_may_set() -> None:
    assert section_of(GRU)().model_dump() == {"width": 64, "depth": 1, "dropout": 0.0}
    for wrong in ({"width": 0}, {"depth": 0}, {"dropout": 1.0}):
        with pytest.raises(ValidationError):
            section_of(GRU)(**wrong)
