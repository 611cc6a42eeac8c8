"""Accuracy under named attacks, the worst case for each sample, and the signs that it misleads."""

from __future__ import annotations

import sys

import pytest
import torch
from tests.robustness.conftest import Victim
from torch import Tensor, nn

from limbeck.errors import UserError
from limbeck.models.modes import evaluating
from limbeck.objectives.ball import Norm
from limbeck.robustness.accuracy import Attacked, attack_accuracy
from limbeck.robustness.auto_attack import auto_attack
from limbeck.robustness.masking import masking_warnings
from limbeck.robustness.named import Attack, named_attacks

NAMES = ("fgsm", "pgd", "margin", "square", "transfer")


def test_each_attack_and_the_worst_of_them(victim: Victim) -> None:
    heard: list[tuple[str, int]] = []
    attacks = named_attacks(NAMES, epsilon=0.1, steps=10, queries=50, source=victim.other)
    found = attack_accuracy(
        victim.model, victim.inputs, victim.labels, attacks=attacks, told=lambda *told: heard.append(told)
    )
    rates = found.accuracies
    assert list(rates) == ["clean", *NAMES, "worst"]
    assert rates["clean"] == victim.accuracy(victim.inputs) and victim.model.training
    assert rates["worst"] <= min(rates[name] for name in NAMES) < rates["transfer"] < rates["clean"]
    assert torch.equal(found.robust, found.clean & torch.stack(list(found.withstood.values())).all(0))
    right = int(found.clean.sum())
    assert heard == [(name, done) for name in NAMES for done in (256, right)]


def test_the_worst_case_is_one_however_it_is_reached(victim: Victim) -> None:
    attacks = named_attacks(["fgsm", "pgd", "margin"], epsilon=0.1, steps=10)
    asked = {True: 0, False: 0}

    def found(alone: bool) -> Attacked:
        def counting(inputs: Tensor) -> Tensor:
            asked[alone] += len(inputs)
            logits: Tensor = victim.model(inputs)
            return logits

        with evaluating(victim.model):
            return attack_accuracy(counting, victim.inputs, victim.labels, attacks=attacks, alone=alone)

    every, rest = found(True), found(False)
    assert rest.accuracies["worst"] == pytest.approx(every.accuracies["worst"], abs=0.0101)  # other starts are drawn
    assert rest.accuracies["fgsm"] == every.accuracies["fgsm"]
    assert rest.accuracies["worst"] == rest.accuracies["margin"] <= rest.accuracies["pgd"] <= rest.accuracies["fgsm"]
    assert asked[False] < 0.8 * asked[True]


def test_by_hand() -> None:
    """A model that looks at one pixel: everything within epsilon of the threshold falls."""
    inputs = torch.tensor([0.1, 0.45, 0.55, 0.9]).view(4, 1, 1, 1).expand(4, 1, 2, 2).contiguous()
    labels = torch.tensor([0, 0, 1, 0])

    def model(shown: Tensor) -> Tensor:
        pixel = shown[:, 0, 0, 0]
        return torch.stack([0.5 - pixel, pixel - 0.5], dim=1)

    attacks = named_attacks(["fgsm", "pgd", "margin", "square"], epsilon=0.1, queries=20)
    found = attack_accuracy(model, inputs, labels, attacks=attacks)
    assert found.accuracies == {"clean": 0.75} | dict.fromkeys(["fgsm", "pgd", "margin", "square", "worst"], 0.25)


@pytest.mark.parametrize(
    ("names", "options", "sentence"),
    [
        (["pdg"], {}, 'attacks expects fgsm, pgd, .*got .pdg.. Did you mean "pgd"'),
        (["transfer"], {}, "needs another model"),
    ],
)
def test_names_that_cannot_be_are_said(names: list[str], options: dict[str, str], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        named_attacks(names, epsilon=0.1, **options)


def test_autoattack_is_named_where_its_library_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchattacks", None)
    with pytest.raises(UserError, match=r"pip install --no-deps torchattacks"):
        named_attacks(["autoattack"], epsilon=0.1)


@pytest.mark.parametrize(("norm", "epsilon"), [("linf", 0.08), ("l2", 0.5)])
def test_autoattack_leaves_no_more_than_its_rivals_and_draws_nothing_of_ours(
    victim: Victim, norm: Norm, epsilon: float
) -> None:
    pytest.importorskip("torchattacks", reason="torchattacks is not installed")
    inputs, labels = victim.inputs[:60], victim.labels[:60]
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    found = attack_accuracy(
        victim.model, inputs, labels,
        attacks=named_attacks(["margin", "square", "autoattack"], epsilon=epsilon, norm=norm, queries=100),
    ).accuracies  # fmt: skip
    assert torch.equal(torch.rand(4), expected)
    assert found["autoattack"] <= min(found["margin"], found["square"]) + 0.02
    assert 0 < found["autoattack"] < found["clean"]


def test_autoattack_expects_a_module_of_four_classes(victim: Victim) -> None:
    pytest.importorskip("torchattacks", reason="torchattacks is not installed")
    with pytest.raises(UserError, match="a torch module"):
        auto_attack(lambda shown: shown.flatten(1), victim.inputs, victim.labels, epsilon=0.1)
    three = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    with pytest.raises(UserError, match="4 classes or more, got 3"):
        auto_attack(three, victim.inputs[:5], torch.zeros(5, dtype=torch.long), epsilon=0.1)


def test_there_must_be_samples(victim: Victim) -> None:
    with pytest.raises(UserError, match="got none"):
        attack_accuracy(
            victim.model, victim.inputs[:0], victim.labels[:0], attacks=named_attacks(["fgsm"], epsilon=0.1)
        )


class Masked(nn.Module):
    """The same answers with gradients that say nothing: inputs are rounded, logits are loud."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, inputs: Tensor) -> Tensor:
        logits: Tensor = self.net((inputs * 16).round() / 16)
        return logits


def test_masked_gradients_are_noticed(victim: Victim) -> None:
    attacks = named_attacks(["pgd", "square"], epsilon=0.15, steps=10, queries=100)
    inputs, labels = victim.inputs[:150], victim.labels[:150]

    def warned(model: nn.Module) -> list[str]:
        found = attack_accuracy(model, inputs, labels, attacks=attacks)
        return masking_warnings(model, inputs, labels, found, attacks=attacks)

    assert warned(victim.model) == []
    first, second = warned(Masked(victim.model))
    assert "square, which uses no gradient of the model, breaks" in first and "that pgd left" in first
    assert "even where it may change them into any picture" in second


def test_one_step_that_finds_little_is_no_sign_of_masking(victim: Victim) -> None:
    attacks = named_attacks(["fgsm", "square"], epsilon=0.1, queries=200)
    found = attack_accuracy(victim.model, victim.inputs, victim.labels, attacks=attacks)
    assert masking_warnings(victim.model, victim.inputs, victim.labels, found, attacks=attacks) == []


def test_an_attack_of_ones_own_joins(victim: Victim) -> None:
    nothing = Attack("nothing", lambda model, inputs, labels: inputs)
    found = attack_accuracy(victim.model, victim.inputs, victim.labels, attacks=[nothing])
    assert found.accuracies["worst"] == found.accuracies["clean"]
