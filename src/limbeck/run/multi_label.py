"""Several labels at once, each there or not. Shapes: S seeds, N test samples, C labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from torch import Tensor

from limbeck.data.dataset import Data
from limbeck.evaluate.intervals import rate, two_way
from limbeck.evaluate.multi_label import DECISION, auroc, average_precision, by_label, f1, telling, values_of
from limbeck.export.ending import Ending
from limbeck.objectives.binary_cross_entropy import BinaryCrossEntropy
from limbeck.objectives.binary_soft_labels import BinarySoftLabels
from limbeck.run.answers import Answers, Floats, entry
from limbeck.run.task import Drawings, Task
from limbeck.train.score import Score

FIGURES = {"map": average_precision, "auroc": auroc, "f1": f1}


def mean_average_precision(logits: Tensor, labels: Tensor) -> float:
    """Return the mean over labels of the average precision of logits [m, C]; labels that no row has count for none."""
    scores, truth = logits.double().numpy(), labels.double().numpy()
    each = [average_precision(scores[:, one], truth[:, one])[0] for one in telling(average_precision, truth)]
    return float(np.mean(each)) if each else 0.0


class MultiLabel(Task):
    """Judged by the mean average precision."""

    name = "multi_label"
    label = BinaryCrossEntropy
    taught = BinarySoftLabels
    primary = "map"
    score = Score("map", mean_average_precision)
    ending = Ending("sigmoid")

    def scores(self, logits: NDArray[np.floating]) -> Floats:
        """Return the probability of each label."""
        found: Floats = expit(np.asarray(logits, np.float64))
        return found

    def merits(self, answers: Answers) -> Floats:
        """Return values whose mean is the mean average precision."""
        return _values(average_precision, answers)

    def metrics(self, answers: Answers, teacher: Answers | None, evaluate: tuple[str, ...]) -> dict[str, Any]:
        """Return means over labels of average precision, area under the curve and F1, and how often all are right."""
        decided = (answers.scores > DECISION) == (answers.labels > 0)
        found = {name: entry(two_way(_values(figure, answers)), True, most=1.0) for name, figure in FIGURES.items()}
        return {**found, "exact_match": entry(rate(decided.all(axis=2).astype(np.float64)), True)}

    def drawings(
        self, answers: Mapping[str, Answers], roles: Mapping[str, str], best: int, data: Data, evaluate: tuple[str, ...]
    ) -> Drawings:
        """Return the figures of each label."""
        return {"by_label": {key: _by_label(answers[key], data.classes) for key in roles if key in answers}}

    def told(self, merit: float) -> str:
        """Return a mean average precision in percent."""
        return f"mean average precision {100 * merit:.1f} %"

    def gain_told(self, gain: float) -> str:
        """Return points."""
        return f"{100 * gain:+.1f}"


def _values(figure: Any, answers: Answers) -> Floats:
    return np.stack([values_of(figure, one, answers.labels) for one in answers.scores])


def _by_label(answers: Answers, names: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return the figures of each label by itself, None for one that the test samples tell nothing about."""
    each = {name: [by_label(figure, one, answers.labels) for one in answers.scores] for name, figure in FIGURES.items()}
    return [
        {"name": name, **{key: _one(seeds, place) for key, seeds in each.items()}} for place, name in enumerate(names)
    ]


def _one(seeds: list[list[Floats | None]], place: int) -> dict[str, Any] | None:
    found = [values[place] for values in seeds]
    there = [values for values in found if values is not None]
    return entry(two_way(np.stack(there)), True, most=1.0) if there else None
