"""Is the data itself sound? Notes of its reading, splits of a sensible size, classes with samples, inputs that vary."""

from __future__ import annotations

import torch
from torch import Tensor

from limbeck.data.dataset import Data
from limbeck.data.mapped import chunks
from limbeck.preflight.finding import Finding
from limbeck.preflight.subject import Subject

LOPSIDED = 20
FEW = 5
SOME, MANY = 0.01, 0.5


def check_splits(subject: Subject) -> list[Finding]:
    """Say how large the splits are, named `splits`; a warning where more samples test than train and validate."""
    data = subject.plan.data
    train, validation, test = len(data.train), len(data.validation), len(data.test)
    sentence = f"{train:,} samples train, {validation:,} validate, {test:,} test."
    if test > train + validation:
        return [Finding("warning", "splits", f"{sentence} Are the training and the test split exchanged?")]
    return [Finding("note", "splits", sentence)]


def list_notes(subject: Subject) -> list[Finding]:
    """Pass on what was noted when the data was read, such as columns that were left out; notes named `reading`."""
    return [Finding("note", "reading", text) for text in subject.plan.data.notes]


def check_classes(subject: Subject) -> list[Finding]:
    """Count the labels that the student may see in training; findings named `classes`.

    A fault for a class without any. Warnings, where `labels_per_class` does not hide labels anyway: a class with
    fewer than five, and one with a twentieth of the commonest.
    """
    plan = subject.plan
    visible = plan.visible_labels(plan.seeds[0])[plan.data.train]
    counts = torch.bincount(visible[visible >= 0], minlength=len(plan.data.classes)).tolist()
    hidden = set(plan.hidden_classes)
    shown = {name: count for name, count in zip(plan.data.classes, counts, strict=True) if name not in hidden}
    rarest = min(shown, key=lambda name: shown[name])
    most, least = max(shown.values()), shown[rarest]
    told = f'{least:,} to {most:,} labelled training samples, "{rarest}" fewest'
    told = told if least < most else f"{least:,} labelled training samples"
    sentence = f"Each of {len(shown)} classes has {told}."
    sentence += f" No label is shown of {', '.join(sorted(hidden))}, as was asked for." if hidden else ""
    if least == 0:
        return [Finding("fault", "classes", f"{sentence} A class without any cannot be learned; is one missing?")]
    if plan.labels_per_class is None and least < FEW:
        return [Finding("warning", "classes", f"{sentence} These are very few; add some.")]
    if plan.labels_per_class is None and most > LOPSIDED * least:
        return [Finding("warning", "classes", f"{sentence} That is lopsided; look at worst_class_accuracy.")]
    return [Finding("note", "classes", sentence)]


def check_inputs(subject: Subject) -> list[Finding]:
    """Look for inputs that say nothing, named `inputs`.

    Pictures of a single colour: a warning from 1 % of the training samples on, a fault from half of them. Features
    that never vary: a note, and a fault where none does.
    """
    data = subject.plan.data
    still = _same_in_each(data) if data.kind == "image" else _same_in_all(data)
    count, total = int(still.sum()), len(still)
    if count == 0:
        return []
    if data.kind == "image":
        sentence = f"{count:,} of {total:,} training pictures have a single colour; were they read well?"
        level = "fault" if count >= MANY * total else "warning" if count >= SOME * total else "note"
        return [Finding(level, "inputs", sentence)]  # type: ignore[arg-type]
    return [
        Finding(
            "fault" if count == total else "note",
            "inputs",
            f"{count:,} of {total:,} features have the same value in every training sample.",
        )
    ]


def _same_in_each(data: Data) -> Tensor:
    """Return bool [N]: the training samples whose values are all the same."""
    parts = (part.flatten(1) for part in chunks(data.pool.inputs, data.train))
    return torch.cat([part.amax(1) == part.amin(1) for part in parts])


def _same_in_all(data: Data) -> Tensor:
    """Return bool [D]: the features that have the same value in all training samples."""
    first = data.pool.inputs[data.train[0]].flatten()
    same = torch.ones_like(first, dtype=torch.bool)
    for part in chunks(data.pool.inputs, data.train):
        same &= (part.flatten(1) == first).all(0)
    return same
