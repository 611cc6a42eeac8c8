"""Values in the user's own units. Shapes: S seeds, N test samples, C values of each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from limbeck.data.dataset import Data
from limbeck.data.scaling import Scaling
from limbeck.evaluate.intervals import two_way
from limbeck.evaluate.regression import absolute_errors, r2_values, squared_errors
from limbeck.export.ending import Ending
from limbeck.objectives.soft_regression import SoftRegression
from limbeck.objectives.squared_error import SquaredError
from limbeck.run.answers import Answers, Floats, entry
from limbeck.run.task import Drawings, Task
from limbeck.train.score import Score

DRAWN = ("teacher", "student")
MOST_POINTS, MOST_DRAWN = 500, 4  # of a drawing; drawings of a model


def explained(values: Tensor, labels: Tensor) -> float:
    """Return 1 less the mean squared error of values [m, C] on the scale of training, where the labels' variance is 1.

    It is R2 against the mean and variance of the training rows.
    """
    return 1.0 - float((values.double() - labels.double()).square().mean())


class Regression(Task):
    """Judged by the mean squared error; of several values, by that on the scale of training, where each counts alike.

    scaling: between the user's units and that scale.
    """

    name = "regression"
    label = SquaredError
    taught = SoftRegression
    higher_is_better = False
    relative = True
    score = Score("r2", explained)

    def __init__(self, scaling: Scaling) -> None:
        self.scaling = scaling
        self.ending = Ending("values", scaling.mean, scaling.scale)

    @property
    def primary(self) -> str:
        """Mean squared error, in the unit's square where there is one unit."""
        return "mse" if len(self.scaling.mean) == 1 else "nmse"

    def scores(self, logits: NDArray[np.floating]) -> Floats:
        """Return values in the user's units."""
        return self.scaling.restored(logits)

    def merits(self, answers: Answers) -> Floats:
        """Return squared errors with their sign turned."""
        return -self._squared(answers, self.primary)

    def metrics(self, answers: Answers, teacher: Answers | None, evaluate: tuple[str, ...]) -> dict[str, Any]:
        """Return mean squared and absolute error, R2, and of several values the error on the scale of training."""
        several = len(self.scaling.mean) > 1
        return {
            "mse": entry(two_way(self._squared(answers, "mse")), False),
            "nmse": entry(two_way(self._squared(answers, "nmse")), False) if several else None,
            **_common(answers.scores, answers.labels),
        }

    def drawings(
        self, answers: Mapping[str, Answers], roles: Mapping[str, str], best: int, data: Data, evaluate: tuple[str, ...]
    ) -> Drawings:
        """Return predicted against true values and, of several, the figures of each."""
        several = len(data.classes) > 1
        return {
            "scatter": {key: _scatter(answers[key], best, data.classes) for key in DRAWN if key in answers},
            "by_label": {key: _by_target(answers[key], data.classes) for key in roles if several and key in answers},
        }

    def told(self, merit: float) -> str:
        """Return the error in words."""
        kind = "" if self.primary == "mse" else "standardised "
        return f"{kind}mean squared error {-merit:,.4g}"

    def gain_told(self, gain: float) -> str:
        """Return how much lower the error is."""
        return f"{gain:+,.4g}"

    def _squared(self, answers: Answers, metric: str) -> Floats:
        scale = np.ones(len(self.scaling.scale)) if metric == "mse" else np.asarray(self.scaling.scale)
        return np.stack([squared_errors(one / scale, answers.labels / scale) for one in answers.scores])


def _common(scores: Floats, labels: NDArray[Any]) -> dict[str, Any]:
    """Return mean absolute error and R2 of values [S, N, C]."""
    return {
        "mae": entry(two_way(np.stack([absolute_errors(one, labels) for one in scores])), False),
        "r2": entry(two_way(np.stack([r2_values(one, labels) for one in scores])), True, least=None),
    }


def _by_target(answers: Answers, names: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return the figures of each value by itself, in its own unit."""
    found = []
    for place, name in enumerate(names):
        scores, labels = answers.scores[:, :, [place]], answers.labels[:, [place]]
        squared = np.stack([squared_errors(one, labels) for one in scores])
        found.append({"name": name, "mse": entry(two_way(squared), False), **_common(scores, labels)})
    return found


def _scatter(answers: Answers, best: int, names: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return pairs (true, predicted) of the kept seed, of 500 samples spread over the test set where there are more."""
    said = answers.scores[answers.seeds.index(best) if best in answers.seeds else 0]
    rows = np.unique(np.linspace(0, len(said) - 1, min(len(said), MOST_POINTS)).astype(np.int64))
    return [
        {"name": name, "points": np.stack([answers.labels[rows, place], said[rows, place]], axis=1).tolist()}
        for place, name in enumerate(names[:MOST_DRAWN])
    ]
