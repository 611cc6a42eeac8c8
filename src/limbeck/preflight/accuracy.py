"""Does the teacher know this data, as the run will show it?

Shapes: N judged samples, C classes. Test samples are not read.
"""

from __future__ import annotations

import torch

from limbeck.preflight.chance import clearly_above, clearly_better
from limbeck.preflight.finding import Finding
from limbeck.preflight.subject import Subject

MARGIN = 0.1
TELLING = 20
SUSPECT_SHARE = 0.03
WORTH = 0.1  # what the vote of neighbours should add to guessing, if labels mean anything
CONFIDENT = 0.9


def check_accuracy(subject: Subject) -> list[Finding]:
    """Measure the teacher on training and validation rows and name it `teacher_accuracy`.

    A fault where it is not right more often than the commonest class is the label (exact binomial, p < 1e-4) or
    not half as often as the vote of the five nearest samples; a warning where that vote beats it by 10 points
    and more than chance. Neither where the vote itself is no better than the commonest class, or where fewer than
    20 rows have a label.
    """
    right, hits = subject.teacher_right, int(subject.teacher_right.sum())
    sentence = f"The teacher is right on {hits / len(right):.1%} of {len(right):,} training and validation samples."
    if len(right) < TELLING:
        return [Finding("note", "teacher_accuracy", f"{sentence} These are too few to judge it.")]
    vote = subject.neighbours == subject.labels
    told = f" Their nearest neighbours alone give {float(vote.float().mean()):.1%}."
    cure = " Check its weights, its classes, and the pictures it was trained on."
    knowable = is_better_than_guessing(subject, int(vote.sum()))
    if not is_better_than_guessing(subject, hits) or (knowable and 2 * hits < int(vote.sum())):
        return [Finding("fault", "teacher_accuracy", f"{sentence}{told} It does not know this data.{cure}")]
    if knowable and clearly_better(vote, right, MARGIN):
        return [Finding("warning", "teacher_accuracy", f"{sentence}{told}{cure}")]
    return [Finding("note", "teacher_accuracy", sentence)]


def check_labels(subject: Subject) -> list[Finding]:
    """Look for labels that do not belong to their samples, named `labels`.

    A fault where neither the teacher nor the vote of the five nearest samples is better than the commonest class;
    a warning where there is no finished teacher and that vote is clearly less than ten points better than guessing: a
    few dozen photographs, which are seldom alike pixel by pixel, say nothing. A warning too where a finished teacher
    (probability above 0.9) and the vote agree on another class than the label for clearly more than 3 % of the rows.
    """
    if len(subject.rows) < TELLING:
        return []
    if not is_better_than_guessing(subject, int((subject.neighbours == subject.labels).sum())):
        if not subject.taught and not _is_close_to_guessing(subject):
            return []
        if not subject.taught:
            return [Finding("warning", "labels", f"{_UNRELATED} Were they shuffled?")]
        if not is_better_than_guessing(subject, int(subject.teacher_right.sum())):
            return [Finding("fault", "labels", f"{_UNRELATED} Nor does the teacher. Were they shuffled?")]
    return _noise(subject) if subject.taught else []


_UNRELATED = "The nearest neighbours of a sample do not tell its label better than the commonest class does."


def _noise(subject: Subject) -> list[Finding]:
    sure, top = subject.given_logits.softmax(1).max(1)
    against = (sure > CONFIDENT) & (top != subject.labels) & (top == subject.neighbours)
    count, total = int(against.sum()), len(against)
    if not clearly_above(count, total, SUSPECT_SHARE):
        return []
    names = [subject.plan.data.pool.ids[row] for row in subject.rows[against][:3].tolist()]
    return [
        Finding(
            "warning",
            "labels",
            f"For {count:,} of {total:,} samples the teacher, sure of itself, and the nearest neighbours agree on "
            f"another class than the label ({', '.join(names)}, ...); look at them.",
        )
    ]


def _is_close_to_guessing(subject: Subject) -> bool:
    """Whether there are samples enough to tell that the nearest neighbours do not know ten points more than chance."""
    counts, total = torch.bincount(subject.labels), len(subject.labels)
    missed = total - int((subject.neighbours == subject.labels).sum())
    return clearly_above(missed, total, 1 - min(float(counts.max()) / total + WORTH, 1.0))


def is_better_than_guessing(subject: Subject, hits: int) -> bool:
    """Whether that many of the judged rows are right more often than the commonest class would be, p < 1e-4."""
    counts = torch.bincount(subject.labels)
    return clearly_above(hits, len(subject.labels), float(counts.max()) / len(subject.labels))
