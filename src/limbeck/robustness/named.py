"""Attacks by their names, each with its budget."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from torch import Tensor

from limbeck.errors import UserError, did_you_mean
from limbeck.objectives.ball import Norm
from limbeck.robustness.attack import Model
from limbeck.robustness.auto_attack import auto_attack, check_autoattack
from limbeck.robustness.fgsm import fgsm
from limbeck.robustness.margin_pgd import margin_pgd
from limbeck.robustness.pgd import pgd
from limbeck.robustness.square import square
from limbeck.robustness.transferred import transferred

REACH = 2.5  # radii that the steps of a climb are long together

Kind = Literal["step", "climb", "black_box", "several"]
KINDS: dict[str, Kind] = {
    "fgsm": "step",
    "pgd": "climb",
    "margin": "climb",
    "square": "black_box",
    "transfer": "black_box",
    "autoattack": "several",
}


@dataclass(frozen=True)
class Attack:
    """An attack with its budget.

    craft: from a model, inputs [B, ...] in 0..1 and labels [B] to inputs within the budget; kind: whether it takes one
    step up the model's gradient, climbs it, asks for the model's answers alone, or is several attacks in turn.
    """

    name: str
    craft: Callable[[Model, Tensor, Tensor], Tensor]
    kind: Kind = "climb"


def named_attacks(
    names: Sequence[str],
    *,
    epsilon: float,
    norm: Norm = "linf",
    steps: int = 20,
    restarts: int = 1,
    queries: int = 200,
    source: Model | None = None,
    seed: int = 0,
) -> list[Attack]:
    """Return attacks by their names, those of KINDS; climbs end where they break a sample.

    epsilon: in the inputs' unit; steps, restarts: of pgd, margin and transfer, whose steps are 2.5 epsilon long
    together; queries: of square; source: the model whose gradients transfer uses. autoattack has the budget it was
    published with. Raises UserError for a name that is unknown or cannot be here.
    """
    for name in names:
        if name not in KINDS:
            raise UserError(f"attacks expects {', '.join(KINDS)}, got {name!r}.{did_you_mean(name, KINDS)}")
    if "autoattack" in names:
        check_autoattack()
    size = REACH * epsilon / steps
    crafts: dict[str, Callable[[Model, Tensor, Tensor], Tensor]] = {
        "fgsm": partial(fgsm, epsilon=epsilon, norm=norm),
        "pgd": partial(
            pgd, epsilon=epsilon, step_size=size, steps=steps, restarts=restarts, norm=norm, until_broken=True,
            seed=seed,
        ),
        "margin": partial(
            margin_pgd, epsilon=epsilon, steps=steps, restarts=restarts, norm=norm, until_broken=True, seed=seed
        ),
        "square": partial(square, epsilon=epsilon, queries=queries, norm=norm, seed=seed),
        "autoattack": partial(auto_attack, epsilon=epsilon, norm=norm, seed=seed),
    }  # fmt: skip
    if source is not None:
        crafts["transfer"] = partial(
            transferred, source=source, epsilon=epsilon, step_size=size, steps=steps, restarts=restarts, norm=norm,
            seed=seed,
        )  # fmt: skip
    elif "transfer" in names:
        raise UserError("The attack transfer needs another model to make its samples on; leave it out.")
    return [Attack(name, crafts[name], KINDS[name]) for name in dict.fromkeys(names)]
