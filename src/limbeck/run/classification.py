"""One class of several. Shapes: S seeds, N test samples, C classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limbeck.data.dataset import Data
from limbeck.evaluate import metrics
from limbeck.evaluate.calibration import softmax
from limbeck.objectives.cross_entropy import CrossEntropy
from limbeck.objectives.soft_labels import SoftLabels
from limbeck.run.answers import Answers, Floats, metrics_of
from limbeck.run.pictures import disagreements
from limbeck.run.task import Drawings, Task

MOST_CONFUSED = 200  # classes; a matrix grows with their square, and nobody could read a larger one
TEACHER, STUDENT = "teacher", "student"


class Classification(Task):
    """Judged by accuracy."""

    name = "classification"
    label = CrossEntropy
    taught = SoftLabels
    primary = "accuracy"

    def scores(self, logits: NDArray[np.floating]) -> Floats:
        """Return probabilities at temperature 1."""
        return softmax(logits)

    def merits(self, answers: Answers) -> Floats:
        """Return 1 where right and 0 where wrong."""
        return answers.correct

    def metrics(self, answers: Answers, teacher: Answers | None, evaluate: tuple[str, ...]) -> dict[str, Any]:
        """Return accuracy, that of the worst class, log loss, Brier score, calibration and agreement."""
        return metrics_of(answers, teacher, evaluate)

    def drawings(
        self, answers: Mapping[str, Answers], roles: Mapping[str, str], best: int, data: Data, evaluate: tuple[str, ...]
    ) -> Drawings:
        """Return confusion, reliability and disagreements."""
        classes, teacher = len(data.classes), answers.get(TEACHER)
        shown = [key for key, role in roles.items() if role in ("teacher", "student", "control")]
        return {
            "confusion": {
                key: _confusion(answers[key], classes)
                for key in (TEACHER, STUDENT)
                if key in answers and classes <= MOST_CONFUSED
            },
            "reliability": {
                key: _reliability(answers[key]) for key in shown if "calibration" in evaluate and answers[key].graded
            },
            "disagreements": [] if teacher is None else disagreements(teacher, answers[STUDENT], best, data),
        }

    def told(self, merit: float) -> str:
        """Return a share in percent."""
        return f"{100 * merit:.1f} % right"

    def gain_told(self, gain: float) -> str:
        """Return points."""
        return f"{100 * gain:+.1f}"

    def read_file(self, logits: NDArray[np.float32], probabilities: NDArray[np.float32]) -> Floats:
        """Return the file's own probabilities, at the temperature inside."""
        exact = probabilities.astype(np.float64)
        found: Floats = exact / exact.sum(1, keepdims=True)
        return found


def _confusion(answers: Answers, classes: int) -> list[list[int]]:
    """Return counts over all seeds together, rows = truth."""
    each = [metrics.confusion(one.argmax(1), answers.labels, classes) for one in answers.scores]
    counts: list[list[int]] = np.sum(each, axis=0).tolist()
    return counts


def _reliability(answers: Answers) -> list[Any]:
    """Return the reliability bins over all seeds together."""
    seeds, samples, classes = answers.scores.shape
    pooled = answers.scores.reshape(seeds * samples, classes)
    return list(metrics.reliability(pooled, np.tile(answers.labels, seeds)))
