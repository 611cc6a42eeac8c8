from __future__ import annotations

from collections import OrderedDict
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from limbeck.errors import ModelError
from limbeck.models.adapt import Adapted, Normalise, find_logits

LOGITS = torch.randn(4, 3)
FEATURES = torch.randn(4, 8)
LOSS = torch.tensor(0.3)


class Named(NamedTuple):
    hidden: Tensor
    logits: Tensor


@pytest.mark.parametrize(
    "returned",
    [
        LOGITS,
        (LOGITS,),
        (LOSS, LOGITS, FEATURES),
        [FEATURES, LOGITS, None, "text"],
        {"logits": LOGITS, "features": FEATURES},
        {"out": LOGITS, "aux": LOGITS + 1},
        {"anything": LOGITS, "features": FEATURES, "loss": LOSS},
        OrderedDict(loss=LOSS, logits=LOGITS),
        SimpleNamespace(logits=LOGITS, loss=LOSS),
        Named(hidden=LOGITS + 1, logits=LOGITS),
    ],
    ids=lambda returned: type(returned).__name__,
)
def test_logits_are_found(returned: object) -> None:
    assert find_logits(returned, 3) is LOGITS


@pytest.mark.parametrize(
    ("returned", "sentence"),
    [
        (
            FEATURES,
            "The model returned logits of shape [4, 8]; expected [batch, 3] because the data has 3 classes.",
        ),
        (
            {"logits": LOGITS[0]},
            "The model returned logits of shape [3]; expected [batch, 3] because the data has 3 classes.",
        ),
        (
            (LOGITS, LOGITS),
            "The model returned several values ([4, 3], [4, 3]), 2 of which could be logits [batch, 3]; "
            "return a dict with the key 'logits' so that there is no doubt.",
        ),
        (
            {"a": FEATURES, "b": LOSS},
            "The model returned several values ([4, 8], []), 0 of which could be logits [batch, 3]; "
            "return a dict with the key 'logits' so that there is no doubt.",
        ),
        (
            (),
            "The model returned several values (no tensor), 0 of which could be logits [batch, 3]; "
            "return a dict with the key 'logits' so that there is no doubt.",
        ),
        (
            None,
            "The model returned NoneType; expected a tensor of logits [batch, 3], or a tuple, a dict or an object "
            "with .logits that holds one.",
        ),
    ],
)
def test_what_holds_no_logits_for_sure_gets_a_sentence(returned: object, sentence: str) -> None:
    with pytest.raises(ModelError) as caught:
        find_logits(returned, 3)
    assert str(caught.value) == sentence


def test_pictures_are_normalised_by_channel() -> None:
    pictures = torch.rand(2, 3, 4, 5)
    mean, std = [0.1, 0.2, 0.3], [0.5, 0.6, 0.7]
    wanted = pictures.numpy().copy()
    for channel in range(3):
        wanted[:, channel] = (wanted[:, channel] - mean[channel]) / std[channel]
    np.testing.assert_allclose(Normalise(mean, std)(pictures).numpy(), wanted, rtol=1e-6, atol=1e-6)


def test_vectors_are_normalised_by_feature() -> None:
    rows = torch.rand(5, 3)
    wanted = np.stack([(rows.numpy()[:, i] - i) / (i + 1) for i in range(3)], axis=1)
    given = Normalise(torch.tensor([0.0, 1.0, 2.0]), torch.tensor([1.0, 2.0, 3.0]))(rows)
    np.testing.assert_allclose(given.numpy(), wanted, rtol=1e-6)


@pytest.mark.parametrize(
    ("mean", "std"), [([0.0], [0.0]), ([0.0], [float("nan")]), ([0.0], [-1.0]), ([0.0, 1.0], [1.0])]
)
def test_a_normalisation_that_cannot_be_is_refused(mean: list[float], std: list[float]) -> None:
    with pytest.raises(ModelError, match="expects a mean and a positive standard deviation of one length"):
        Normalise(mean, std)


def test_normalisation_is_part_of_the_model_but_not_of_its_weights() -> None:
    net = nn.Linear(2, 3)
    model = Adapted(net, classes=3, normalise=Normalise([1.0, 2.0], [3.0, 4.0]))
    inputs = torch.rand(4, 2)
    wanted = net((inputs - torch.tensor([1.0, 2.0])) / torch.tensor([3.0, 4.0]))
    torch.testing.assert_close(model(inputs).logits, wanted)
    assert sorted(model.state_dict()) == ["net.bias", "net.weight"]
    assert sorted(net.state_dict()) == ["bias", "weight"]
    assert {name for name, _ in model.named_buffers()} == {"normalise.mean", "normalise.std"}


def test_without_normalisation_inputs_arrive_as_they_are() -> None:
    net = nn.Linear(2, 3)
    inputs = torch.rand(4, 2)
    assert torch.equal(Adapted(net, classes=3)(inputs).logits, net(inputs))
