"""What a run does otherwise for each kind of labels; all the rest is the same for every task.

Shapes: S seeds, N test samples, C classes, values or labels.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from limbeck.data.dataset import Data
from limbeck.export.ending import Ending
from limbeck.objectives.base import Term
from limbeck.run.answers import Answers, Floats
from limbeck.train.score import Score
from limbeck.types import TaskName

Drawings = dict[str, Any]


class Task(ABC):
    """What depends on what the labels are.

    name: as in the recipe; label: the term that models without a teacher learn by; taught: the usual term beside it;
    higher_is_better: of the primary metric; relative: whether the margin is a share of the control's own figure; score:
    what fits are validated by, None for accuracy; ending: how an exported file ends.
    """

    name: ClassVar[TaskName]
    label: ClassVar[type[Term]]
    taught: ClassVar[type[Term]]
    higher_is_better: ClassVar[bool] = True
    relative: ClassVar[bool] = False
    score: ClassVar[Score | None] = None
    ending: Ending = Ending()

    @property
    def names_a_class(self) -> bool:
        """Whether an answer is the class of the highest score, and has a temperature."""
        return self.ending.head == "softmax"

    @property
    @abstractmethod
    def primary(self) -> str:
        """The metric that decides."""

    @abstractmethod
    def scores(self, logits: NDArray[np.floating]) -> Floats:
        """Return what a model's logits [N, C] say: probabilities, or values in the user's own units; [N, C]."""

    @abstractmethod
    def merits(self, answers: Answers) -> Floats:
        """Return values [S, N] whose mean over samples is the primary metric, larger is better."""

    @abstractmethod
    def metrics(self, answers: Answers, teacher: Answers | None, evaluate: tuple[str, ...]) -> dict[str, Any]:
        """Return every metric of a model as {mean, values, ci95, higher_is_better}, None where it is not known."""

    @abstractmethod
    def drawings(
        self, answers: Mapping[str, Answers], roles: Mapping[str, str], best: int, data: Data, evaluate: tuple[str, ...]
    ) -> Drawings:
        """Return what the page draws of the answers, by the report's keys.

        answers, roles: of the models by their keys; best: the student's seed that was kept.
        """

    @abstractmethod
    def told(self, merit: float) -> str:
        """Return a mean of merits in words, such as "97.2 % right"."""

    @abstractmethod
    def gain_told(self, gain: float) -> str:
        """Return a difference of means of merits with its sign, without its unit."""

    def read_file(self, logits: NDArray[np.float32], probabilities: NDArray[np.float32]) -> Floats:
        """Return what the outputs of an exported file say, as `scores` does; both are [N, C]."""
        exact: Floats = probabilities.astype(np.float64)
        return exact
