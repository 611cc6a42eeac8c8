"""From what withstood attacks to the report's figures: accuracy under each of them and under the worst, and verdicts.

Shapes: S seeds, N samples of the exam, n of them that every attack tried.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from limbeck.evaluate import metrics
from limbeck.evaluate.intervals import bootstrap, rate
from limbeck.evaluate.wording import ATTACKED
from limbeck.robustness.accuracy import Attacked
from limbeck.robustness.masking import HUGE, missed, stays
from limbeck.robustness.named import KINDS
from limbeck.run.answers import Floats, entry
from limbeck.run.attacked import FARTHEST, Assault, Bools, Withstood
from limbeck.run.attacks import QUERIES, STEPS
from limbeck.run.robust import Context, judged_together

WORST = "worst"


@dataclass(frozen=True, eq=False)
class _Found:
    """clean: by subject, which samples of the exam are right before any attack, [S, N]."""

    assault: Assault
    withstood: Withstood
    clean: Sequence[Bools]

    @property
    def radii(self) -> list[float]:
        """The radii at which some attack came to its end."""
        return [radius for radius in self.assault.request.radii if self.attacks(radius)]

    def attacks(self, radius: float) -> list[str]:
        """Return the attacks that came to their end within a radius."""
        return [attack for attack in self.assault.names if (attack, radius) in self.withstood]

    def common(self) -> NDArray[np.int64]:
        """Return the samples that every attack tries, ascending [n]; those of one attack are among those of others."""
        rows: NDArray[np.int64] = min((self.assault.rows(attack) for attack in self.assault.names), key=len).numpy()
        return rows

    def tried(self, attack: str, radius: float, place: int) -> Bools | None:
        """Return which of the samples that an attack tried a subject is right about after it; None where not tried."""
        return self.withstood[attack, radius][place]

    def shared(self, attack: str, radius: float, place: int) -> Bools | None:
        """Return the same of the samples that every attack tried, [S, n]."""
        found = self.tried(attack, radius, place)
        return None if found is None else found[:, np.isin(self.assault.rows(attack).numpy(), self.common())]

    def worst(self, radius: float, place: int) -> Bools | None:
        """Return which samples withstood every attack, [S, n]; None where one did not end, or none was tried."""
        if self.attacks(radius) != list(self.assault.names):
            return None
        each = [self.shared(attack, radius, place) for attack in self.assault.names]
        known = [one for one in each if one is not None]
        return np.logical_and.reduce(known) if known else None


def describe_attacks(
    assault: Assault, withstood: Withstood, context: Context, right: Mapping[str, Floats]
) -> dict[str, Any]:
    """Return the report's part on attacks; withstood: the attacks that came to their end; right: by subject, whether
    samples are right as they are, 0 or 1 [S, N]."""
    exam = assault.exam
    found = _Found(assault, withstood, [right[subject.key] > 0 for subject in exam.subjects])
    return {
        "settings": {
            "names": list(assault.names),
            "epsilons": list(assault.request.radii),
            "norm": assault.request.norm,
            "steps": STEPS,
            "queries": QUERIES,
            "samples": {attack: len(assault.rows(attack)) for attack in assault.names},
            "common": len(found.common()),
            "complete": len(withstood) == len(list(assault.parts())),
        },
        "models": {subject.key: _model(found, place) for place, subject in enumerate(exam.subjects)},
        "verdicts": _verdicts(found, context),
    }


def _model(found: _Found, place: int) -> dict[str, Any]:
    subject = found.assault.exam.subjects[place]
    source = found.assault.source(subject) if "transfer" in found.assault.names else None
    return {
        "source": None if source is None else source.key,
        "clean": entry(rate(_numbers(found.clean[place][:, found.common()])), True),
        "figures": [_figures(found, radius, place) for radius in found.radii],
        "warnings": _warnings(found, place) if subject.key in found.assault.climbable else [],
    }


def _figures(found: _Found, radius: float, place: int) -> dict[str, Any]:
    """Return {epsilon, accuracy by attack, worst, worst_class} of a subject within a radius; null is not known."""
    done, worst = found.attacks(radius), found.worst(radius, place)
    each = {name: found.tried(name, radius, place) if name in done else None for name in found.assault.names}
    return {
        "epsilon": radius,
        "accuracy": {name: None if one is None else entry(rate(_numbers(one)), True) for name, one in each.items()},
        WORST: None if worst is None else entry(rate(_numbers(worst)), True),
        "worst_class": None if worst is None else _worst_class(found, worst),
    }


def _worst_class(found: _Found, worst: Bools) -> dict[str, Any]:
    labels = found.assault.exam.samples.labels.cpu().numpy()[found.common()]
    lowest = bootstrap(
        lambda one, drawn: metrics.worst_class_rate(one[:, 0], drawn), _numbers(worst)[..., None], labels
    )
    return entry(lowest, True)


def _warnings(found: _Found, place: int) -> list[str]:
    """Return the signs that gradients mislead, over all seeds of a subject."""
    clean, told = found.clean[place][:, found.common()], []
    for radius in found.radii:
        each = {name: found.shared(name, radius, place) for name in found.attacks(radius)}
        known = {name: torch.from_numpy(one.flatten()) for name, one in each.items() if one is not None}
        attacked = Attacked(torch.from_numpy(clean.flatten()), known)
        told += [f"Within {radius:.3g}: {text}" for text in missed(attacked, {name: KINDS[name] for name in known})]
    if (FARTHEST, HUGE) in found.withstood:
        left = found.withstood[FARTHEST, HUGE][place]
        before = found.clean[place][:, found.assault.rows(FARTHEST).numpy()]
        told += stays(float(left.sum() / max(before.sum(), 1))) if left is not None else []
    return told


def _verdicts(found: _Found, context: Context) -> list[dict[str, Any]]:
    """Return a verdict for each attack and radius and, of several attacks, for the worst; corrected together."""
    several = len(found.assault.names) > 1
    asked = {
        (radius, attack): _by_key(found, radius, attack)
        for radius in found.radii
        for attack in (*found.attacks(radius), *((WORST,) if several else ()))
    }
    return [
        {"epsilon": radius, "attack": attack, **verdict}
        for (radius, attack), verdict in judged_together(asked, context, ATTACKED).items()
    ]


def _by_key(found: _Found, radius: float, attack: str) -> Mapping[str, Floats]:
    """Return what networks and trees are right about after an attack, those that it was tried on."""
    right = {}
    for place, subject in enumerate(found.assault.exam.subjects):
        one = found.worst(radius, place) if attack == WORST else found.tried(attack, radius, place)
        if one is not None and subject.role != "file":
            right[subject.key] = _numbers(one)
    return right


def _numbers(right: Bools) -> Floats:
    return right.astype(np.float64)
