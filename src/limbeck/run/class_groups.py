"""Accuracy on some classes apart from the others: those that were never labelled, or that are new.

Shapes: S seeds, N test samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limbeck.evaluate.intervals import rate, two_way
from limbeck.run.answers import Answers, Floats, entry
from limbeck.run.assess import Findings
from limbeck.run.fits import STUDENT
from limbeck.run.plan import Plan


@dataclass(frozen=True)
class ClassGroup:
    """Classes that are reported together. key: what the report calls them; classes: their names."""

    key: str
    classes: tuple[str, ...]


def describe_hidden(plan: Plan, findings: Findings) -> dict[str, Any] | None:
    """Return the report's `hidden_classes`: accuracy on the classes that nobody labelled, and on the others.

    None where there are none such. `gain` is that of the student over the control that the verdict is against.
    """
    data = plan.data
    hidden = {*plan.unlabelled_classes, *data.unseen_classes}
    if not hidden:
        return None
    found = [
        ClassGroup("unlabelled", plan.unlabelled_classes),
        ClassGroup("unseen", data.unseen_classes),
        ClassGroup("labelled", tuple(name for name in data.classes if name not in hidden)),
    ]
    groups = [group for group in found if group.classes]
    return {**by_group(plan, findings, groups), "gain": _gains(plan, findings, groups)}


def by_group(plan: Plan, findings: Findings, groups: list[ClassGroup]) -> dict[str, Any]:
    """Return the groups with the number of their test samples, and every model's accuracy in each."""
    rows = {group.key: rows_of(plan, group) for group in groups}
    return {
        "groups": [
            {"key": group.key, "classes": list(group.classes), "test": int(rows[group.key].sum())} for group in groups
        ],
        "models": {
            key: {name: accuracy_on(answers, chosen) for name, chosen in rows.items()}
            for key, answers in findings.answers.items()
        },
    }


def rows_of(plan: Plan, group: ClassGroup) -> NDArray[np.bool_]:
    """Return which test samples are of a group's classes: bool [N]."""
    numbers = [plan.data.classes.index(name) for name in group.classes]
    found: NDArray[np.bool_] = np.isin(plan.data.test.labels.cpu().numpy(), numbers)
    return found


def accuracy_on(answers: Answers, rows: NDArray[np.bool_]) -> dict[str, Any] | None:
    """Return the accuracy on some test samples, bool [N], as `entry` does; None without any."""
    return entry(rate(answers.correct[:, rows]), True) if rows.any() else None


def paired(gains: Floats) -> dict[str, Any]:
    """Return the mean of differences [S, N] between two models on the same samples, with its interval."""
    return entry(two_way(gains), True, least=-1.0, most=1.0)


def _gains(plan: Plan, findings: Findings, groups: list[ClassGroup]) -> dict[str, Any] | None:
    stage = plan.stages[-1].name
    verdict = findings.verdicts.get(stage)
    if verdict is None:
        return None
    control = findings.answers[findings.stages[stage][verdict.against]]
    gains = findings.answers[STUDENT].correct - control.correct
    chosen = {group.key: rows_of(plan, group) for group in groups}
    return {key: paired(gains[:, rows]) if rows.any() else None for key, rows in chosen.items()}
