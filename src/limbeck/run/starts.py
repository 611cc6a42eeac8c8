"""Whether what a student starts from has seen samples that are test samples now; and the record that tells."""

from __future__ import annotations

from pathlib import Path

import torch

from limbeck.models.weights import CARD
from limbeck.run.chains import folder_of
from limbeck.run.fits import SCRATCH, STUDENT
from limbeck.run.plan import Plan
from limbeck.teachers.seen import count_leaked, save_seen_by_students


def note_seen(folder: Path, plan: Plan) -> None:
    """Note beside student and controls of every stage what real samples they were trained and chosen by."""
    if plan.generated is not None:
        return
    starts: dict[Path, Path | None] = {}
    for stage in plan.stages:
        weights = plan.learner(stage).weights
        for role in (STUDENT, *plan.controls):
            anew = weights is None or role == SCRATCH
            starts[folder_of(folder, plan, stage, role)] = None if anew or weights is None else weights.parent
    save_seen_by_students(starts, plan.data, torch.cat([plan.data.train, plan.data.validation]))


def leaks(plan: Plan) -> list[str]:
    """Say where students start from weights that were trained on this run's test samples."""
    found = {folder: count_leaked(folder, plan.data) for folder in _starts(plan)}
    return [
        f"The weights in {folder}, which the student starts from, were trained on {count:,} of this run's "
        f"{len(plan.data.test):,} test samples, so all figures of models that start there are too good. Use the data "
        f"section and split_seed of the run that they came from."
        for folder, count in found.items()
        if count
    ]


def unknown_starts(plan: Plan) -> list[str]:
    """Say where students start from a model of an earlier run that did not note what it was trained on."""
    return [
        f"Nobody noted what the weights in {folder}, which the student starts from, were trained on; if test samples "
        f"of this run are among that, figures are too good."
        for folder in _starts(plan)
        if (folder / CARD).is_file() and count_leaked(folder, plan.data) is None
    ]


def _starts(plan: Plan) -> list[Path]:
    """Return the folders of the weights that students start from, each once."""
    weights = [plan.learner(stage).weights for stage in plan.stages]
    return list(dict.fromkeys(one.parent for one in weights if one is not None))
