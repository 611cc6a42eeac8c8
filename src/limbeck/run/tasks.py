"""From the name of a task to what a run does for it."""

from __future__ import annotations

from limbeck.data.scaling import Scaling
from limbeck.run.classification import Classification
from limbeck.run.multi_label import MultiLabel
from limbeck.run.regression import Regression
from limbeck.run.task import Task
from limbeck.types import TaskName


def task_of(name: TaskName, scaling: Scaling | None) -> Task:
    """Return the task of a name; scaling: of the data, or of a model's card, for regression."""
    if name == "regression":
        assert scaling is not None  # regression data has one
        return Regression(scaling)
    return MultiLabel() if name == "multi_label" else Classification()
