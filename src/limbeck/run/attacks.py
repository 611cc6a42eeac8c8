"""Which attacks an exam asks for, and the budget of each."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from limbeck.data.samples import Samples
from limbeck.errors import UserError, did_you_mean
from limbeck.objectives.ball import Norm
from limbeck.robustness.auto_attack import check_autoattack
from limbeck.robustness.named import KINDS
from limbeck.run.corrupted import are_pictures

STEPS, QUERIES = 20, 200  # of a climb, and of square
MOST: Mapping[str, int] = {"square": 1000, "autoattack": 500}  # samples, where asking takes long
USUAL: Mapping[Norm, tuple[float, ...]] = {"linf": (8 / 255,), "l2": (0.5,)}


@dataclass(frozen=True)
class AttackRequest:
    """Attacks by name, all but autoattack by ("all",), and the radii within which they may change a picture.

    epsilons: in pixels of 0..1, none for the usual one of the norm. Raises UserError where that cannot be meant.
    """

    names: tuple[str, ...] = ("all",)
    epsilons: tuple[float, ...] = ()
    norm: Norm = "linf"

    def __post_init__(self) -> None:
        if self.norm not in USUAL:
            raise UserError(f"norm expects {' or '.join(USUAL)}, got {self.norm!r}.")
        known = (*KINDS, "all")
        if not self.names:
            raise UserError(f"attacks expects some of {', '.join(known)}, got none.")
        for name in self.names:
            if name not in known:
                raise UserError(f"attacks expects {', '.join(known)}, got {name!r}.{did_you_mean(name, known)}")
        if "autoattack" in self.names:
            check_autoattack()
        most = 1.0 if self.norm == "linf" else math.inf
        for epsilon in self.epsilons:
            if not (math.isfinite(epsilon) and 0 < epsilon <= most):
                raise UserError(
                    f"epsilon is in pixels of 0..1, above 0{' and at most 1' if most == 1 else ''}, got {epsilon:g}; "
                    f"eight grey levels of 255 are 8/255."
                )
        if len(set(self.epsilons)) < len(self.epsilons):
            raise UserError(f"an epsilon is given twice: {', '.join(f'{one:g}' for one in self.epsilons)}.")

    @property
    def radii(self) -> tuple[float, ...]:
        """The radii, ascending."""
        return tuple(sorted(self.epsilons or USUAL[self.norm]))

    def attacks(self, *, transfers: bool) -> tuple[str, ...]:
        """Return the names, each once; transfers: whether there is a model to make those pictures on; `all` needs none.

        Raises UserError where transfer is asked for by name, but there is no such model.
        """
        if "transfer" in self.names and not transfers:
            raise UserError(
                "The attack transfer makes its pictures on another network whose gradients can be followed, but there "
                "is none; leave it out."
            )
        if "all" not in self.names:
            return tuple(dict.fromkeys(self.names))
        left_out = {"transfer": not transfers, "autoattack": True}
        return tuple(name for name in KINDS if not left_out.get(name, False))


def check_attackable(samples: Samples) -> None:
    """Raise UserError for samples that are no pictures."""
    if not are_pictures(samples):
        raise UserError("Attacks change pictures of 8 bits, but the samples are rows of numbers; leave attacks out.")
