"""Signs that an attack failed because gradients mislead, not because a model is robust (Athalye et al. 2018).

Shapes: n samples.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from limbeck.robustness.accuracy import Attacked, attack_accuracy
from limbeck.robustness.attack import Model
from limbeck.robustness.named import Attack, named_attacks

HUGE = 1.0  # every picture is within it, so nothing withstands who finds the way
TRIED = 256  # samples that the huge radius is tried on
WITHSTOOD = 0.1  # share of right samples that may be left at the huge radius
MISSED = 0.01  # share of samples that a black box may break where no gradient does


def masking_warnings(
    model: Model, inputs: Tensor, labels: Tensor, attacked: Attacked, *, attacks: Sequence[Attack], steps: int = 20
) -> list[str]:
    """Return a sentence for each sign that the figures of climbing attacks are too good, none where there is none.

    attacked: what `attack_accuracy` found with these attacks for the samples [n, ...] in 0..1, each attack alone;
    steps: of the climb at a radius that reaches every picture.
    """
    climbs = [attack.name for attack in attacks if attack.kind == "climb" and attack.name in attacked.withstood]
    if not climbs:
        return []
    found = [_missed(attacked, climbs, attack.name) for attack in attacks if attack.kind == "black_box"]
    rows = torch.nonzero(attacked.clean)[:TRIED, 0]
    if len(rows):
        found.append(_stays(model, inputs[rows], labels[rows], steps))
    return [one for one in found if one is not None]


def _missed(attacked: Attacked, climbs: Sequence[str], name: str) -> str | None:
    """Say so where an attack without gradients breaks samples that no climb breaks."""
    unbroken = torch.stack([attacked.withstood[climb] for climb in climbs]).all(dim=0) & attacked.clean
    missed = float((unbroken & ~attacked.withstood[name]).double().mean())
    if missed <= MISSED:
        return None
    return (
        f"{name}, which uses no gradient of the model, breaks {missed:.1%} of the samples that {' and '.join(climbs)} "
        f"left: the gradients mislead, so the accuracy under these attacks is too good."
    )


def _stays(model: Model, inputs: Tensor, labels: Tensor, steps: int) -> str | None:
    """Say so where a climb that may go to any picture leaves many of these samples, all of them right before."""
    attacks = named_attacks(["pgd"], epsilon=HUGE, steps=steps)
    left = attack_accuracy(model, inputs, labels, attacks=attacks).accuracies["worst"]
    if left <= WITHSTOOD:
        return None
    return (
        f"pgd leaves {left:.0%} of the right samples even where it may change them into any picture: it does not find "
        f"the way, so the accuracy under it is too good."
    )
