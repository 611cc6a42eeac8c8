"""Candidates for a teacher, put in order by what their features and answers say of the labels.

Shapes: n samples, D features, Z classes of a candidate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from limbeck.transfer.leep import leep
from limbeck.transfer.logme import logme
from limbeck.transfer.probe import probe_accuracy

By = Literal["probe", "logme", "leep"]


@dataclass(frozen=True)
class Ranked:
    """A candidate and its scores, larger is better for each.

    teacher: as it was named; title: its architecture; parameters: how many; width: D; classes: Z, None where it has no
    classifier of its own, and leep with it; probe: 0..1; logme: any number; leep: at most 0; repeated: of the samples,
    how many it was trained on, which makes its scores too good; seconds: spent on it.
    """

    teacher: str
    title: str
    parameters: int
    width: int
    classes: int | None
    samples: int
    probe: float
    logme: float
    leep: float | None
    repeated: int
    seconds: float


@dataclass(frozen=True)
class Scores:
    """probe: accuracy, 0..1; logme: any number; leep: at most 0, None without answers."""

    probe: float
    logme: float
    leep: float | None


def scores(
    features: NDArray[np.floating], probabilities: NDArray[np.floating] | None, labels: NDArray[np.int64]
) -> Scores:
    """Return the scores of features [n, D] and, where there are some, answers [n, Z], given labels int64 [n]."""
    answered = None if probabilities is None else leep(probabilities, labels)
    return Scores(probe_accuracy(features, labels), logme(features, labels), answered)


def ordered(found: Sequence[Ranked], by: By = "probe") -> list[Ranked]:
    """Return candidates with the best first; those without the score come last, equal ones by LogME."""

    def key(one: Ranked) -> tuple[float, float]:
        chosen = {"probe": one.probe, "logme": one.logme, "leep": one.leep}[by]
        return (-np.inf if chosen is None else chosen, one.logme)

    return sorted(found, key=key, reverse=True)
