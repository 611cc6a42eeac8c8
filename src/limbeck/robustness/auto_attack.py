"""AutoAttack: four attacks without parameters, one after the other (Croce & Hein 2020), by torchattacks.

Shapes: B samples, C classes.
"""

from __future__ import annotations

import copy
import importlib
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from limbeck.errors import UserError
from limbeck.objectives.ball import Norm, ball_around
from limbeck.robustness.attack import Model, Worst, ask, check_request

STEPS, QUERIES = 100, 5000  # of each climb, and of Square, as published
FEWEST = 4  # classes that its margin ratio compares
NORMS = {"linf": "Linf", "l2": "L2"}


def check_autoattack() -> None:
    """Raise UserError where torchattacks, whose parts AutoAttack is made of, is not installed."""
    _library()


def auto_attack(
    model: Model, inputs: Tensor, labels: Tensor, *, epsilon: float, norm: Norm = "linf", seed: int = 0
) -> Tensor:
    """Return what AutoAttack's standard version makes of each sample [B, C, H, W]: the worst that was found.

    100 steps up the cross-entropy, 100 towards each other class up to nine, 100 of FAB towards each, and 5,000 queries
    of Square; a sample that is broken is attacked no more. model: a module from inputs in 0..1 to logits; epsilon: in
    the inputs' unit. Raises UserError without torchattacks, for a function that is no module, and for fewer than
    four classes.
    """
    library = _library()
    check_request(inputs, labels, epsilon)
    if not isinstance(model, nn.Module):
        raise UserError("AutoAttack expects a torch module whose gradients it can follow; leave it out for files.")
    victim = copy.deepcopy(model).eval().requires_grad_(False)  # the library leaves gradients behind
    worst = Worst(victim, inputs, labels)
    classes = ask(victim, inputs[:1]).shape[1]
    if classes < FEWEST:
        raise UserError(f"AutoAttack compares {FEWEST} classes or more, got {classes}; use pgd, margin and square.")
    for attack in _parts(library, victim, classes, epsilon=epsilon, norm=norm, seed=seed):
        rows = torch.nonzero(worst.margins <= 0)[:, 0]
        if not len(rows):
            break
        points = _craft(attack, inputs[rows], labels[rows], seed)
        points = ball_around(inputs[rows], epsilon=epsilon, norm=norm).project(points)
        worst.note(rows, points, ask(victim, points))
    return worst.points


def _parts(
    library: ModuleType, model: nn.Module, classes: int, *, epsilon: float, norm: Norm, seed: int
) -> Iterator[Callable[[Tensor, Tensor], Tensor]]:
    shared: dict[str, Any] = {"eps": epsilon, "norm": NORMS[norm], "seed": seed, "n_restarts": 1}
    targets = min(classes, 10)
    yield library.APGD(model, steps=STEPS, loss="ce", **shared)
    yield library.APGDT(model, steps=STEPS, n_classes=targets, **shared)
    yield library.FAB(model, steps=STEPS, multi_targeted=True, n_classes=targets, **shared)
    yield library.Square(model, n_queries=QUERIES, p_init=0.8, **shared)


def _craft(attack: Callable[[Tensor, Tensor], Tensor], inputs: Tensor, labels: Tensor, seed: int) -> Tensor:
    """Let an attack of the library work, whose draws are torch's own, and put those back."""
    with torch.random.fork_rng(devices=[inputs.device] if inputs.is_cuda else []):
        torch.manual_seed(seed)
        return attack(inputs, labels).detach()


def _library() -> ModuleType:
    try:
        return importlib.import_module("torchattacks")
    except ImportError:
        raise UserError(
            "The attack autoattack needs torchattacks, which pins old versions of what it does not use: "
            "pip install --no-deps torchattacks."
        ) from None
