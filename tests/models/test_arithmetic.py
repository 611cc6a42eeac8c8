"""Precision and layout: what is chosen, and that every way gives the plain way's values and gradients."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import limbeck.models.arithmetic as arithmetic
from limbeck.errors import ModelError
from limbeck.models import CNN, MLP
from limbeck.models.adapt import Adapted, Normalise
from limbeck.models.arithmetic import PLAIN, WORTH_BF16, Arithmetic, Wish, choose, has_matrix_units

INPUTS = torch.rand(16, 1, 12, 12, generator=torch.Generator().manual_seed(0))
CPU = torch.device("cpu")


def cnn() -> Adapted:
    torch.manual_seed(0)
    return Adapted(CNN((1, 12, 12), 5, width=8), classes=5, normalise=Normalise([0.4], [0.3]))


def mlp() -> Adapted:
    torch.manual_seed(0)
    return Adapted(MLP((1, 12, 12), 5, hidden=[64]), classes=5)


def gradients(model: Adapted, how: Arithmetic) -> tuple[Tensor, list[Tensor]]:
    """Return loss and gradients of a training step in float32, whatever it was computed in."""
    model.train()
    with how.laid_out(model.net):
        loss = nn.functional.cross_entropy(how.forward(model, INPUTS).logits, torch.arange(16) % 5)
        found = torch.autograd.grad(loss, list(model.parameters()))
    return loss.detach(), [one.contiguous() for one in found]


def test_channels_last_equals_the_plain_way_in_value_and_gradient() -> None:
    plain, fast = gradients(cnn(), PLAIN), gradients(cnn(), Arithmetic("fp32", True))
    torch.testing.assert_close(fast, plain, rtol=1e-3, atol=1e-5)


def test_gradients_are_in_order_behind_a_mean_over_space_while_a_fit_lasts() -> None:
    seen: list[bool] = []
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    net[1].register_full_backward_hook(
        lambda *given: seen.append(given[2][0].is_contiguous(memory_format=torch.channels_last))
    )
    model = Adapted(net, classes=4)
    for how in (Arithmetic("fp32", True), PLAIN):
        with how.laid_out(net):
            how.forward(model, INPUTS).logits.sum().backward()  # type: ignore[no-untyped-call]
    assert seen == [True, False]


@pytest.mark.parametrize("last", [True, False])
def test_bf16_is_the_plain_way_up_to_its_rounding(last: bool) -> None:
    (wanted, plain), (found, fast) = gradients(cnn(), PLAIN), gradients(cnn(), Arithmetic("bf16", last))
    assert found.dtype == torch.float32 and all(one.dtype == torch.float32 for one in fast)
    assert float(found) == pytest.approx(float(wanted), rel=0.02)
    mine, theirs = (torch.cat([one.flatten() for one in each]) for each in (fast, plain))
    assert float(nn.functional.cosine_similarity(mine, theirs, dim=0)) > 0.99
    assert not torch.equal(mine, theirs)


def test_logits_are_float32_and_weights_stay_in_their_usual_order() -> None:
    model, how = cnn(), Arithmetic("bf16", True)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with how.laid_out(model.net):
        assert model.net.body[0][0].weight.dtype == torch.float32  # type: ignore[index, union-attr]
        assert how.forward(model.eval(), INPUTS).logits.dtype == torch.float32
        convolution = model.net.body[1][0].weight  # type: ignore[index, union-attr]
        assert convolution.is_contiguous(memory_format=torch.channels_last)
    for name, value in model.state_dict().items():
        assert value.is_contiguous() and torch.equal(value, before[name])


@pytest.mark.parametrize(
    ("units", "work", "wish", "wanted"),
    [
        (True, WORTH_BF16, "auto", "bf16"),
        (True, WORTH_BF16 - 1, "auto", "fp32"),
        (False, WORTH_BF16, "auto", "fp32"),
        (False, 0, "bf16", "bf16"),
        (True, WORTH_BF16, "fp32", "fp32"),
    ],
)
def test_bf16_where_the_processor_and_the_model_gain(
    monkeypatch: pytest.MonkeyPatch, units: bool, work: int, wish: Wish, wanted: str
) -> None:
    monkeypatch.setattr(arithmetic, "has_matrix_units", lambda _: units)
    assert choose(wish, cnn(), INPUTS[:2], work) == Arithmetic(wanted, True)  # type: ignore[arg-type]
    assert choose(wish, mlp(), INPUTS[:2], work) == Arithmetic(wanted, False)  # type: ignore[arg-type]


def test_this_processor_says_whether_it_has_matrix_units() -> None:
    assert has_matrix_units(CPU) == torch.cpu.get_capabilities().get("amx_bf16", False)
    assert not has_matrix_units(torch.device("mps"))


class Viewed(nn.Module):
    """Reshapes with `view`, which channels_last does not allow."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Conv2d(1, 3, 3), nn.Linear(300, 5)

    def forward(self, inputs: Tensor) -> Tensor:
        seen = self.body(inputs)
        logits: Tensor = self.head(seen.view(len(seen), -1))
        return logits


def test_a_network_that_cannot_have_channels_last_keeps_the_usual_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arithmetic, "has_matrix_units", lambda _: True)
    model = Adapted(Viewed(), classes=5)
    assert choose("auto", model, INPUTS[:2], 0) == PLAIN
    assert choose("auto", model, INPUTS[:2], WORTH_BF16) == Arithmetic("bf16", False)
    assert choose("fp32", model, INPUTS[:2], WORTH_BF16) == PLAIN


class Refuses(nn.Module):
    """Takes its own products' float32 for granted."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(144, 5)

    def forward(self, inputs: Tensor) -> Tensor:
        seen = torch.zeros(len(inputs), 5)
        return seen.index_add(0, torch.arange(len(inputs)), self.body(inputs.flatten(1)))


def test_a_network_that_cannot_compute_in_bf16_stays_in_fp32_or_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arithmetic, "has_matrix_units", lambda _: True)
    model = Adapted(Refuses(), classes=5)
    assert choose("auto", model, INPUTS[:2], WORTH_BF16) == PLAIN
    with pytest.raises(ModelError, match=r"cannot compute in bf16.*train\.precision to fp32"):
        choose("bf16", model, INPUTS[:2], WORTH_BF16)


def test_choosing_moves_nothing() -> None:
    model = cnn().train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    torch.manual_seed(3)
    choose("bf16", model.eval(), INPUTS[:4], 0)
    drawn = torch.rand(3)
    torch.manual_seed(3)
    assert torch.equal(drawn, torch.rand(3))
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(value, before[name]) and value.is_contiguous() for name, value in model.state_dict().items())
