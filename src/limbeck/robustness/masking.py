"""Signs that an attack failed because gradients mislead, not because a model is robust (Athalye et al. 2018).

Shapes: n samples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from limbeck.robustness.accuracy import Attacked, attack_accuracy
from limbeck.robustness.attack import Model
from limbeck.robustness.named import Attack, Kind, named_attacks

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
    kinds = {attack.name: attack.kind for attack in attacks if attack.name in attacked.withstood}
    if "climb" not in kinds.values():
        return []
    found = missed(attacked, kinds)
    rows = torch.nonzero(attacked.clean)[:TRIED, 0]
    if len(rows):
        climb = named_attacks(["pgd"], epsilon=HUGE, steps=steps)
        found += stays(attack_accuracy(model, inputs[rows], labels[rows], attacks=climb).accuracies["worst"])
    return found


def missed(attacked: Attacked, kinds: Mapping[str, Kind]) -> list[str]:
    """Return a sentence for each attack without gradients that breaks samples which no climb breaks.

    attacked: each attack alone; kinds: of the attacks, by name.
    """
    climbs = [name for name, kind in kinds.items() if kind == "climb"]
    boxes = [name for name, kind in kinds.items() if kind == "black_box"]
    found = [_missed(attacked, climbs, name) for name in boxes if climbs]
    return [one for one in found if one is not None]


def stays(left: float) -> list[str]:
    """Return a sentence where a climb that may go to any picture leaves many of the samples that were right, 0..1."""
    if left <= WITHSTOOD:
        return []
    return [
        f"pgd leaves {left:.0%} of the right samples even where it may change them into any picture: it does not find "
        f"the way, so the accuracy under it is too good."
    ]


def _missed(attacked: Attacked, climbs: Sequence[str], name: str) -> str | None:
    unbroken = torch.stack([attacked.withstood[climb] for climb in climbs]).all(dim=0) & attacked.clean
    share = float((unbroken & ~attacked.withstood[name]).double().mean())
    if share <= MISSED:
        return None
    return (
        f"{name}, which uses no gradient of the model, breaks samples that {' and '.join(climbs)} left, {share:.1%} of "
        f"all: the gradients mislead, so the accuracy under these attacks is too good."
    )
