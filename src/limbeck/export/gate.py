"""Whether an int8 file may ship: what it lost on validation samples, over all of them and in a single class.

Shapes: N validation samples, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import special

from limbeck.errors import ExportError
from limbeck.export.run_onnx import Session

ENOUGH = 100  # validation labels; with fewer, one sample is more than a point
CHANCE = 0.05  # of refusing a file whose losses only happened to fall on one class
ROUNDING = 1e-9

Integers = NDArray[np.int64]
Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Exam:
    """What a float file and its int8 form are compared on; `exam_of` makes one.

    inputs: raw [N, ...]; labels: int64 [N], all -1 where the float file's own answers are the truth; classes: C names;
    tolerance: the largest loss of accuracy, 0..1, that is accepted; known: how many labels there were.
    """

    inputs: NDArray[Any]
    labels: Integers
    classes: tuple[str, ...]
    tolerance: float
    known: int

    @property
    def judged_by(self) -> Literal["accuracy", "agreement"]:
        """Whether labels decide, or agreement with the float file."""
        return "accuracy" if self.known >= ENOUGH else "agreement"

    @property
    def allowed(self) -> float:
        """How many samples may be lost in all: tolerance * N, but one of fewer than 100 unless the tolerance is 0."""
        least = 1.0 if self.tolerance > 0 and len(self.inputs) < ENOUGH else 0.0
        return max(self.tolerance * len(self.inputs), least) + ROUNDING


@dataclass(frozen=True)
class Judgement:
    """What an int8 file lost. loss: of accuracy or agreement over all samples, negative for a gain; lost_class: the
    name of the class that lost most, of whose samples lost_samples were lost on balance.

    max_abs_error: of the logits against the float file, None where a value is not finite; agreement: 0..1.
    """

    passed: bool
    judged_by: Literal["accuracy", "agreement"]
    samples: int
    loss: float
    lost_class: str
    lost_samples: int
    class_samples: int
    agreement: float
    max_abs_error: float | None
    sentence: str


def exam_of(inputs: NDArray[Any], labels: Integers, classes: tuple[str, ...], tolerance: float) -> Exam:
    """Return the exam on validation samples: the labelled ones if there are 100 or more, else all without labels.

    labels: int64 [N], -1 where hidden. Raises ExportError without any sample.
    """
    if not len(inputs):
        raise ExportError("An int8 file is compared with its float file on validation samples, but none were given.")
    labelled = labels >= 0
    known = int(labelled.sum())
    if known < ENOUGH:
        return Exam(inputs, np.full_like(labels, -1), classes, tolerance, known)
    chosen = inputs if labelled.all() else inputs[labelled]
    return Exam(chosen, labels[labelled], classes, tolerance, known)


def compare(reference: Path, candidate: Path, exam: Exam) -> Judgement:
    """Judge a candidate file against its float file."""
    return judge(logits_of(reference, exam.inputs), logits_of(candidate, exam.inputs), exam)


def logits_of(path: Path, inputs: NDArray[Any]) -> Floats:
    """Return the logits [N, C] of a file for raw inputs [N, ...]."""
    return Session(path).logits_and_probabilities(inputs)[0]


def judge(before: Floats, after: Floats, exam: Exam) -> Judgement:
    """Judge the logits [N, C] of an int8 file by those of its float file.

    Refused is a loss over all samples above the tolerance, a class that `broken` names, or a value that is not finite.
    """
    said, says = before.argmax(1), after.argmax(1)
    truth = exam.labels if exam.judged_by == "accuracy" else said
    lost, gained, counts = (
        np.bincount(truth[chosen], minlength=len(exam.classes))
        for chosen in ((said == truth) & (says != truth), (said != truth) & (says == truth), truth >= 0)
    )
    net = int((lost - gained).sum())
    found = broken(lost, gained, counts, exam.tolerance)
    share = (lost - gained) / np.maximum(counts, 1)
    worst = int(np.where(counts > 0, share + 2 * found, -2).argmax())
    finite = bool(np.isfinite(after).all())
    passed = finite and net <= exam.allowed and not bool(found.any())
    counted = {"lost_samples": int(lost[worst] - gained[worst]), "class_samples": int(counts[worst])}
    return Judgement(
        passed=passed,
        judged_by=exam.judged_by,
        samples=len(truth),
        loss=net / len(truth),
        lost_class=exam.classes[worst],
        **counted,
        agreement=float((said == says).mean()),
        max_abs_error=float(np.abs(after - before).max()) if finite else None,
        sentence=_sentence(exam, (said == truth).mean(), (says == truth).mean(), exam.classes[worst], counted, finite),
    )


def broken(lost: Integers, gained: Integers, counts: Integers, tolerance: float) -> NDArray[np.bool_]:
    """Say of each class whether it lost more than tolerance, one sample and chance explain; everything is [C].

    lost: samples that were right before and are wrong now; gained: the other way round; counts: all samples.
    A class of 20 samples moves by 5 points with each, so (a) its net loss must be above tolerance * samples + 1, and
    (b) its losses must be more than would fall on any of the C classes by chance (5 %, Bonferroni) if every sample were
    lost as often as all are on average, or as the tolerance allows: the upper tail of the binomial distribution.
    """
    rate = max(float(lost.sum()) / max(float(counts.sum()), 1.0), tolerance)
    by_chance = special.bdtrc(lost - 1.0, counts, min(rate, 1.0))
    beyond: NDArray[np.bool_] = lost - gained > tolerance * counts + 1 + ROUNDING
    unlikely: NDArray[np.bool_] = by_chance < CHANCE / max(int((counts > 0).sum()), 1)
    return beyond & unlikely


def _sentence(exam: Exam, before: float, after: float, name: str, counted: dict[str, int], finite: bool) -> str:
    if not finite:
        return "Some of its answers are not finite numbers."
    lost, samples = counted["lost_samples"], counted["class_samples"]
    worst = f'the class that lost most is "{name}", {lost} of {samples} samples' if lost > 0 else "no class lost any"
    points = 100 * exam.tolerance
    accepted = f"a loss of up to {points:g} point{'' if points == 1 else 's'} is accepted"
    if exam.judged_by == "accuracy":
        return (
            f"Accuracy on {len(exam.labels):,} validation samples went from {100 * before:.1f} % to "
            f"{100 * after:.1f} % ({accepted}); {worst}."
        )
    return (
        f"It gives the float file's class for {100 * after:.1f} % of {len(exam.labels):,} validation samples "
        f"({accepted}; there are only {exam.known} validation labels to judge by); {worst}."
    )
