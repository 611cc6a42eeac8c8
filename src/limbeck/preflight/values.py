"""Labels that are values or several at once: what there is of them, and whether a finished teacher knows them.

Shapes: N judged samples, C values or labels.
"""

from __future__ import annotations

from limbeck.preflight.finding import Finding
from limbeck.preflight.subject import Subject
from limbeck.types import known

FEW = 5
SHOWN = 5


def check_values(subject: Subject) -> list[Finding]:
    """Say what the labels in training are, named `labels`: range of values, or how often each label is there.

    A warning for a label that fewer than five training samples have.
    """
    data = subject.plan.data
    labels = data.pool.labels[data.train]
    labels = labels[known(labels)]
    if data.task == "regression":
        columns = list(zip(data.classes, labels.T, strict=True))[:SHOWN]
        told = ", ".join(f'"{name}" from {float(one.min()):g} to {float(one.max()):g}' for name, one in columns)
        return [Finding("note", "labels", f"{len(labels):,} labelled training samples: {told}.")]
    counts = [int(one) for one in labels.sum(0)]
    rarest = counts.index(min(counts))
    sentence = (
        f"{len(counts)} labels on {len(labels):,} labelled training samples, {min(counts):,} to {max(counts):,} times "
        f'each, "{data.classes[rarest]}" fewest.'
    )
    if min(counts) < FEW:
        return [Finding("warning", "labels", f"{sentence} These are very few; add some.")]
    return [Finding("note", "labels", sentence)]


def check_quality(subject: Subject) -> list[Finding]:
    """Measure the teacher on training and validation rows and name it `teacher_quality`.

    A fault where it is no better than a constant: R2 not above 0, or a mean average precision not above the mean share
    of samples that have a label.
    """
    task, data = subject.plan.task, subject.plan.data
    assert task.score is not None  # of tasks other than classification
    labels = data.visible_labels(None, subject.plan.seeds[0])[subject.rows]
    value = task.score.figure(subject.given_logits, labels)
    constant = 0.0 if data.task == "regression" else float(labels.mean())
    sentence = (
        f"The teacher reaches {value:.3f} ({task.score.name}) on {len(labels):,} training and validation samples, a "
        f"constant {constant:.3f}."
    )
    if value <= constant:
        return [
            Finding("fault", "teacher_quality", f"{sentence} It does not know this data; check its weights and units.")
        ]
    return [Finding("note", "teacher_quality", sentence)]
