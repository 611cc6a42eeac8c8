"""From the text of `data.target` to the other domain: training samples without labels, and a test split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from limbeck.data.combine import keep_classes, take, without_labels
from limbeck.data.contents import ReadOptions
from limbeck.data.samples import Samples
from limbeck.data.source import open_source
from limbeck.data.split import split
from limbeck.errors import DataError

TARGET = "target/"


def open_target(
    text: str, options: ReadOptions, classes: Sequence[str], *, test: float, split_seed: int
) -> tuple[Samples, Samples, tuple[str, ...]]:
    """Read the other domain of a task; give its training samples with labels -1, its labelled test samples, and notes.

    classes: those of the task, by which its test labels are numbered; it may have more, whose samples are left out.
    test: the share of its samples that tests where it has no test split. Ids begin with "target/". Raises DataError as
    `open_source` does, and where it lacks a class.
    """
    found = open_source(text, options)
    if missing := [name for name in classes if name not in found.classes]:
        raise DataError(
            f"data.target: {text} has no class {missing[0]!r}; both domains need the same class names, and it has "
            f"{', '.join(found.classes[:20])}."
        )
    found = keep_classes(found, classes)
    trained, tested = found.train, found.test
    if tested is None:
        rest, held = split(trained.labels.numpy(), trained.ids, fraction=test, seed=split_seed)
        trained, tested = take(found.train, rest), take(found.train, held)
    if len(trained) == 0 or len(tested) == 0:
        raise DataError(
            f"data.target: {text} has {len(trained)} training and {len(tested)} test samples; some of each are needed."
        )
    notes = tuple(f"Target: {note}" for note in found.notes)
    return without_labels(_of_target(trained), TARGET), _of_target(tested), notes


def _of_target(samples: Samples) -> Samples:
    """Return the samples, marked as the target's."""
    ids = tuple(f"{TARGET}{name}" for name in samples.ids)
    return replace(samples, ids=ids, domain=torch.ones_like(samples.labels))
