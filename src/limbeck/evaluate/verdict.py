"""Did distillation help? The student against the same student trained without the teacher.

Shapes: S seeds, N test samples; every array holds the same samples in the same order, and its row s was
trained with the same seed for student and controls.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from limbeck.evaluate import wording
from limbeck.evaluate.intervals import holm, two_way
from limbeck.evaluate.pairing import check_request, checked, matching, rows
from limbeck.evaluate.power import Wanted, wanted
from limbeck.evaluate.spread import Spread, spread_of
from limbeck.evaluate.wording import Outcome

Floats = NDArray[np.float64]

SIGNIFICANCE = 0.05


class SoftGain(TypedDict):
    """What soft knowledge added over the teacher's hard labels; gain and ci95 are fractions, p_value two-sided."""

    gain: float
    ci95: tuple[float, float]
    outcome: Outcome
    sentence: str
    p_value: float


@dataclass(frozen=True)
class Verdict:
    """The answer, with what it rests on. Gains and margin are fractions, or in the metric's own unit; larger is better.

    against: the control that counts. values: the gain of each seed. gap_closed: (student - control) /
    (teacher - control), None where the teacher is not clearly better than the control. p_value: two-sided,
    that the gain is 0. subject: what is judged, in words. more_seeds, more_samples: for an unclear outcome, how many
    more would tell.
    """

    outcome: Outcome
    against: str
    gain: float
    ci95: tuple[float, float]
    gap_closed: float | None
    p_value: float
    margin: float
    seeds: int
    values: tuple[float, ...]
    more_seeds: int | None
    more_samples: int | None
    sentence: str
    notes: tuple[str, ...]
    over_teacher_labels: SoftGain | None
    subject: str = "Distillation"


def judge(
    student: Floats,
    controls: Mapping[str, Floats],
    *,
    validation: Mapping[str, float],
    teacher: Floats | None,
    teacher_labels: Floats | None = None,
    margin: float = 0.005,
    relative: bool = False,
    metric: str = "accuracy",
    notes: Sequence[str] = (),
    subject: str = "Distillation",
    without: str = "without a teacher",
) -> Verdict:
    """Compare the student with the control that was best on validation, and say what that means.

    student: [S, N], 1 where right and 0 where wrong, or another figure. controls: teacher-free ones only, by name, [S,
    N] each. validation: mean validation accuracy of each control; of equals the first in `controls` counts. teacher:
    [N] or [S, N]. teacher_labels: [S, N] of the control taught by the teacher's hard labels. margin: the gain, in 0..1,
    below which a difference does not matter; relative: whether it is a share of the control's own figure. metric:
    "accuracy", or the name of another per-sample figure, larger is better: an error is given with its sign turned.
    subject: what is judged, in words; without: what the controls do without. Raises ValueError for arrays that do not
    match, no control, or fewer than two samples.
    """
    student = checked("the student", student, metric)
    check_request(student, controls, validation, margin)
    others = {name: matching(name, values, student, metric) for name, values in controls.items()}
    against = max(others, key=lambda name: validation[name])
    margin = margin * abs(float(others[against].mean())) if relative else margin
    found = _compare(student, others[against], margin)
    share = None if teacher is None else _gap_closed(student, others[against], rows(teacher, student, metric))
    more = wanted(found.gain, margin, found.spread) if found.outcome == "unclear" else Wanted(None, None)
    opponent = f"the {'best ' if len(controls) > 1 else ''}control {without} ({against})"
    headline = f"{wording.opening(found.outcome, margin, metric, subject)}: {_finding(found, opponent, metric)}."
    return Verdict(
        outcome=found.outcome,
        against=against,
        gain=found.gain,
        ci95=(found.low, found.high),
        gap_closed=share,
        p_value=found.spread.p_value(found.gain),
        margin=margin,
        seeds=len(student),
        values=found.values,
        more_seeds=more.seeds,
        more_samples=more.samples,
        sentence=headline + _explanation(found, more, teacher is not None, share),
        notes=tuple(notes),
        over_teacher_labels=_soft_gain(student, teacher_labels, margin, metric),
        subject=subject,
    )


def correct_for_many(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """Return the verdicts of one report with p-values adjusted for their number (Holm).

    One that helped or hurt on its own but whose adjusted p-value is 0.05 or more becomes unclear and says so.
    The same is done, as a family of their own, for what soft knowledge added over hard labels. The intervals stay
    those of each verdict alone.
    """
    adjusted = holm([verdict.p_value for verdict in verdicts])
    soft = [verdict.over_teacher_labels for verdict in verdicts if verdict.over_teacher_labels]
    soft_adjusted = iter(holm([gain["p_value"] for gain in soft]))
    found = []
    for verdict, p in zip(verdicts, adjusted, strict=True):
        gain = verdict.over_teacher_labels
        gain = gain and _corrected_soft(gain, next(soft_adjusted), len(soft))
        found.append(dataclasses.replace(_corrected(verdict, p, len(verdicts)), over_teacher_labels=gain))
    return found


@dataclass(frozen=True)
class _Comparison:
    gain: float
    low: float
    high: float
    outcome: Outcome
    values: tuple[float, ...]
    spread: Spread


def _compare(student: Floats, other: Floats, margin: float) -> _Comparison:
    difference = student - other
    spread, gain = spread_of(difference), float(difference.mean())
    half = spread.half_width()
    low, high = gain - half, gain + half
    values = tuple(float(value) for value in difference.mean(axis=1))
    return _Comparison(gain, low, high, _outcome(low, high, margin), values, spread)


def _outcome(low: float, high: float, margin: float) -> Outcome:
    if low > 0.0:
        return "helped"
    if high < 0.0:
        return "hurt"
    return "equal" if -margin <= low and high <= margin else "unclear"


def _gap_closed(student: Floats, control: Floats, teacher: Floats) -> float | None:
    """Return (student - control) / (teacher - control), or None if the teacher may not be better."""
    lead = two_way(teacher - control)
    if lead.low is None or lead.low <= 0.0:
        return None
    return float((student.mean() - control.mean()) / lead.mean)


def _soft_gain(student: Floats, labels: Floats | None, margin: float, metric: str) -> SoftGain | None:
    if labels is None:
        return None
    found = _compare(student, matching("teacher_labels", labels, student, metric), margin)
    finding = _finding(found, "the same student taught by the teacher's hard labels", metric)
    return SoftGain(
        gain=found.gain,
        ci95=(found.low, found.high),
        outcome=found.outcome,
        sentence=f"{wording.soft_opening(found.outcome, margin, metric)}: {finding}.",
        p_value=found.spread.p_value(found.gain),
    )


def _finding(found: _Comparison, opponent: str, metric: str) -> str:
    difference = wording.difference(found.gain, metric)
    interval = wording.interval(found.low, found.high, metric)
    scope = wording.scope(found.spread.seeds, found.spread.samples)
    return f"the student {difference} {opponent}, {interval}, {scope}"


def _explanation(found: _Comparison, more: Wanted, taught: bool, share: float | None) -> str:
    """Return the sentences after the first, each with a space before it."""
    sentences = []
    if found.outcome == "unclear":
        sentences.append(wording.advice(found.spread.seeds, more.seeds, more.samples))
    if taught and share is None:
        sentences.append("The teacher itself is not clearly better than that control.")
    if share is not None and found.outcome == "helped":
        sentences.append(wording.gap(share))
    return "".join(f" {sentence}" for sentence in sentences)


def _corrected(verdict: Verdict, p_value: float, count: int) -> Verdict:
    if verdict.outcome not in {"helped", "hurt"} or p_value < SIGNIFICANCE:
        return dataclasses.replace(verdict, p_value=p_value)
    sentence = (
        f"It is unclear whether {wording.inside(verdict.subject)} {verdict.outcome}: among {count} verdicts this one "
        f"may be chance (p = {p_value:.2g} after Holm's correction). Taken alone it reads: {verdict.sentence}"
    )
    return dataclasses.replace(verdict, outcome="unclear", p_value=p_value, sentence=sentence)


def _corrected_soft(gain: SoftGain, p_value: float, count: int) -> SoftGain:
    if gain["outcome"] not in {"helped", "hurt"} or p_value < SIGNIFICANCE:
        return {**gain, "p_value": p_value}
    sentence = (
        f"It is unclear whether soft knowledge adds to the teacher's hard labels: among {count} such comparisons this "
        f"one may be chance (p = {p_value:.2g} after Holm's correction). Taken alone it reads: {gain['sentence']}"
    )
    return {**gain, "outcome": "unclear", "p_value": p_value, "sentence": sentence}
