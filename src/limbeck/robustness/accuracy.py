"""Accuracy under attack: under each attack alone, and under the worst of them for each sample.

Shapes: n samples, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from limbeck.errors import UserError
from limbeck.models.modes import evaluating
from limbeck.robustness.attack import Model, ask, check_request
from limbeck.robustness.named import Attack

BATCH = 256


@dataclass(frozen=True, eq=False)
class Attacked:
    """What became of samples. clean: which were right before, bool [n]; withstood: and which after, by attack."""

    clean: Tensor
    withstood: Mapping[str, Tensor]

    @property
    def robust(self) -> Tensor:
        """Which samples were right before and under every attack, bool [n]."""
        return torch.stack([self.clean, *self.withstood.values()]).all(dim=0)

    @property
    def accuracies(self) -> dict[str, float]:
        """The accuracy before ("clean"), under each attack, and under the worst for each sample ("worst"), 0..1."""
        every = {"clean": self.clean, **self.withstood, "worst": self.robust}
        return {name: float(right.double().mean()) for name, right in every.items()}


def attack_accuracy(
    model: Model,
    inputs: Tensor,
    labels: Tensor,
    *,
    attacks: Sequence[Attack],
    alone: bool = True,
    batch_size: int = BATCH,
    told: Callable[[str, int], None] | None = None,
) -> Attacked:
    """Return which samples [n, ...] in 0..1 a model is right about, before and under attacks.

    model: from inputs [B, ...] to logits [B, C], normalisation inside; a module is kept in evaluation mode. attacks: as
    `named_attacks` gives them; alone: let each attack try every sample that was right, else only those that the ones
    before it left, which is quicker and gives the same worst case; told: hears an attack's name and how many samples it
    is through with. Raises UserError for inputs outside of 0..1, and where there are none.
    """
    check_request(inputs, labels, 0.0)
    if not len(inputs):
        raise UserError("Accuracy under attack is the share of some samples, got none.")
    with evaluating(model):
        clean = _right(model, inputs, labels, batch_size)
        withstood, left = {}, clean
        for attack in attacks:
            rows = torch.nonzero(clean if alone else left)[:, 0]
            right = torch.zeros_like(clean)
            for number, part in enumerate(torch.split(rows, batch_size)):
                shown, own = inputs[part], labels[part]
                right[part] = ask(model, attack.craft(model, shown, own)).argmax(dim=1) == own
                if told is not None:
                    told(attack.name, number * batch_size + len(part))
            withstood[attack.name], left = right, left & right
    return Attacked(clean, withstood)


def _right(model: Model, inputs: Tensor, labels: Tensor, batch_size: int) -> Tensor:
    said = [ask(model, part).argmax(dim=1) for part in torch.split(inputs, batch_size)]
    return torch.cat(said) == labels
