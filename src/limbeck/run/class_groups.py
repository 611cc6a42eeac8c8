"""Accuracy on some classes apart from the others: those that were never labelled, or that are new.

Shapes: S seeds, N test samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from limbeck.evaluate.intervals import rate, two_way
from limbeck.models.carry import Names
from limbeck.models.weights import read_card
from limbeck.run.answers import Answers, Floats, entry
from limbeck.run.assess import Findings
from limbeck.run.fits import SCRATCH, STUDENT
from limbeck.run.plan import Plan
from limbeck.run.reload import load_model
from limbeck.train.loop import predict


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
    hidden = plan.hidden_classes
    if not hidden:
        return None
    found = [
        ClassGroup("unlabelled", plan.unlabelled_classes),
        ClassGroup("unseen", data.unseen_classes),
        ClassGroup("labelled", tuple(name for name in data.classes if name not in hidden)),
    ]
    groups = [group for group in found if group.classes]
    return {**by_group(plan, findings, groups), "gain": _gains(plan, findings, groups)}


def describe_earlier(plan: Plan, findings: Findings) -> dict[str, Any] | None:
    """Return the report's `earlier_classes`: accuracy on classes that the student's start knew, and on new ones.

    None where there are not both. `before` is the start itself on the classes it knew, None where it cannot be built
    again; `forgotten` what each model that began there has lost on them, paired by sample.
    """
    names = plan.student.names
    if names is None or not names.known or not names.new:
        return None
    groups = [ClassGroup("known", names.known), ClassGroup("new", names.new)]
    rows = rows_of(plan, groups[0])
    before = _before(plan, names, rows)
    begun = {key: began_there(kind, role) for key, (kind, role) in findings.roles.items()}
    return {
        **by_group(plan, findings, groups),
        "gain": _gains(plan, findings, groups),
        "before": None if before is None else entry(rate(before), True),
        "forgotten": {
            key: None if before is None or not begun[key] else paired(before - answers.correct[:, rows])
            for key, answers in findings.answers.items()
        },
    }


def began_there(kind: str, role: str) -> bool:
    """Whether a model of the report began with the weights that the student starts from."""
    return kind in ("student", "stage", "control") and role != SCRATCH


def _before(plan: Plan, names: Names, rows: NDArray[np.bool_]) -> Floats | None:
    """Return whether the start is right on the test samples of classes it knew, 1 or 0, [1, rows]."""
    assert plan.student.weights is not None  # it has names
    folder = plan.student.weights.parent
    if read_card(folder)["architecture"] is None or not rows.any():
        return None
    chosen = predict(load_model(folder), plan.data.test, torch.from_numpy(rows.nonzero()[0])).argmax(1)
    said = [names.theirs[number] for number in chosen.tolist()]
    true = [plan.data.classes[number] for number in plan.data.test.labels.cpu().numpy()[rows]]
    found: Floats = np.array([[mine == label for mine, label in zip(said, true, strict=True)]], dtype=np.float64)
    return found


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
