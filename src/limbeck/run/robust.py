"""From what models said about corrupted and foreign samples to the report's section on robustness.

Shapes: S seeds, N samples, C classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch

from limbeck.data.samples import Samples
from limbeck.evaluate import metrics
from limbeck.evaluate.calibration import softmax
from limbeck.evaluate.intervals import Interval, bootstrap, rate, two_way
from limbeck.evaluate.robustness import accuracy_by_coverage, mean_corruption_error, over_fitting
from limbeck.evaluate.unseen import SCORES, separation
from limbeck.evaluate.verdict import Verdict, correct_for_many, judge
from limbeck.evaluate.wording import CORRUPTED
from limbeck.run.answers import Floats, entry, verdict_json
from limbeck.run.assess import TEACHER
from limbeck.run.exam import Answers, AnyCorruption, Exam
from limbeck.run.fits import STUDENT
from limbeck.run.pictures import png
from limbeck.run.said import Said
from limbeck.run.subjects import Logits, Subject

SCHEMA = 1
COVERAGES = np.round(np.arange(1, 21) / 20, 2)
EXAMPLES = 18


@dataclass(frozen=True, eq=False)
class Context:
    """What an exam is judged by beside its answers.

    classes: their names; against: the key of the control that the run's verdict is against, None without one; margin:
    of the verdict; lessons: by subject and seed, samples it was trained on with the labels it was given; foreign: by
    name, samples of another kind.
    """

    classes: tuple[str, ...]
    against: str | None
    margin: float
    lessons: Mapping[str, Sequence[Samples]]
    foreign: Mapping[str, Samples]


def describe(exam: Exam, answers: Answers, context: Context, clean: Sequence[Logits]) -> dict[str, Any]:
    """Return the section; answers: of the corruptions that were asked to their end; clean: by subject, to the samples
    as they are."""
    right = {subject.key: _mean_right(exam, answers, place) for place, subject in enumerate(exam.subjects)}
    control = right.get(context.against) if answers and context.against is not None else None
    verdict = judged(right, context, CORRUPTED) if answers else None
    return {
        "schema": SCHEMA,
        "settings": {
            "seed": exam.request.seed,
            "samples": len(exam.samples),
            "severities": list(exam.request.severities),
            "corruptions": len(exam.corruptions),
            "complete": len(answers) == len(exam.corruptions),
            "foreign": list(context.foreign),
        },
        "corruptions": {one.name: _about(one, exam) for one in exam.corruptions if one.name in answers},
        "models": {
            subject.key: {
                "role": subject.role,
                "name": subject.name,
                "title": subject.title,
                "seeds": list(subject.seeds),
                **_of_clean(subject, clean[place], exam, context),
                **(_of_corrupted(right[subject.key], control, exam, answers, place) if answers else NOTHING),
            }
            for place, subject in enumerate(exam.subjects)
        },
        "against": context.against,
        "verdict": verdict_json(verdict),
        "families": _families(exam, answers, context),
        "examples": _examples(exam, answers, context),
    }


NOTHING: dict[str, Any] = {"corrupted": None, "worst_class": None, "mce": None, "by_severity": [], "by_corruption": {}}


def _families(exam: Exam, answers: Answers, context: Context) -> list[dict[str, Any]]:
    """Return a verdict for each family of corruptions, corrected together; none where there are not several."""
    families: dict[str, Answers] = {}
    for one in exam.corruptions:
        if one.name in answers:
            families.setdefault(one.family, {})[one.name] = answers[one.name]
    if len(families) < 2:
        return []
    asked = {
        family: {subject.key: _mean_right(exam, said, place) for place, subject in enumerate(exam.subjects)}
        for family, said in families.items()
    }
    return [{"family": family, **verdict} for family, verdict in judged_together(asked, context, CORRUPTED).items()]


def _about(corruption: AnyCorruption, exam: Exam) -> dict[str, Any]:
    strengths = [corruption.strengths[severity - 1] for severity in exam.request.severities]
    return {"family": corruption.family, "unit": corruption.unit, "strengths": strengths}


def _mean_right(exam: Exam, answers: Answers, place: int) -> Floats:
    """Return the share of corruptions and severities under which a sample is right, [S, N]; of one subject."""
    each = [exam.right(said[place]) for by_severity in answers.values() for said in by_severity.values()]
    return np.mean(each, axis=0) if each else np.zeros((0, 0))


def _of_clean(subject: Subject, logits: Logits, exam: Exam, context: Context) -> dict[str, Any]:
    right = exam.right(Said.of(logits))
    confidence = softmax(logits).max(2)
    curve = np.mean([accuracy_by_coverage(*one, COVERAGES) for one in zip(confidence, right, strict=True)], axis=0)
    return {
        "clean": entry(rate(right), True),
        "coverage": [[float(share), float(accuracy)] for share, accuracy in zip(COVERAGES, curve, strict=True)],
        "over_fitting": _over_fitting(subject, right, context),
        "foreign": {name: _separation(logits, subject.logits(others)) for name, others in context.foreign.items()},
    }


def _over_fitting(subject: Subject, right: Floats, context: Context) -> dict[str, Any] | None:
    lessons = context.lessons.get(subject.key)
    if lessons is None:
        return None
    train = [
        (ask(samples).argmax(1) == samples.labels.cpu().numpy()).astype(np.float64)
        for ask, samples in zip(subject.each, lessons, strict=True)
    ]
    return entry(over_fitting(np.stack(train), right), False, least=-1.0, most=1.0)


def _separation(own: Logits, others: Logits) -> dict[str, Any]:
    """Return {score: {auroc, fpr95}} for samples of its own kind and of another, logits [S, N, C] and [S, O, C]."""
    found = {name: separation(score(own), score(others)) for name, score in SCORES.items()}
    return {
        name: {"auroc": entry(both["auroc"], True), "fpr95": entry(both["fpr95"], False)}
        for name, both in found.items()
    }


def _of_corrupted(right: Floats, control: Floats | None, exam: Exam, answers: Answers, place: int) -> dict[str, Any]:
    labels = exam.samples.labels.cpu().numpy()
    worst = bootstrap(lambda one, drawn: metrics.worst_class_rate(one[:, 0], drawn), right[..., None], labels)
    mce = _against(right, control)
    by_severity = [
        np.mean([exam.right(said[severity][place]) for said in answers.values()], axis=0)
        for severity in exam.request.severities
    ]
    return {
        "corrupted": entry(two_way(right), True, most=1.0),
        "worst_class": entry(worst, True),
        "mce": None if mce is None else entry(mce, False),
        "by_severity": [entry(two_way(one), True, most=1.0) for one in by_severity],
        "by_corruption": {
            name: [float(exam.right(one[place]).mean()) for one in said.values()] for name, said in answers.items()
        },
    }


def _against(right: Floats, control: Floats | None) -> Interval | None:
    """Return the errors over the control's; one seed counts against all of the control's."""
    if control is None or control is right or len(right) not in (1, len(control)):
        return None
    return mean_corruption_error(np.broadcast_to(right, control.shape), control)


def judged(right: Mapping[str, Floats], context: Context, metric: str) -> Verdict | None:
    """Return the verdict on samples against the control of the run's own verdict; None without one.

    right: by subject, how often each sample is right, 0..1 [S, N]; metric: what that is, in words.
    """
    against = context.against
    if against is None or not {against, STUDENT} <= right.keys():
        return None
    student, teacher = right[STUDENT], right.get(TEACHER)
    if teacher is not None and len(teacher) == 1:
        teacher = teacher[0]
    return judge(
        student,
        {against: right[against]},
        validation={against: 1.0},
        teacher=teacher if teacher is None or teacher.ndim == 1 or teacher.shape == student.shape else None,
        margin=context.margin,
        metric=metric,
    )


Question = TypeVar("Question")


def judged_together(
    asked: Mapping[Question, Mapping[str, Floats]], context: Context, metric: str
) -> dict[Question, dict[str, Any]]:
    """Return a verdict for each of several questions, corrected together; none for those without a control.

    asked: for each question what `judged` takes.
    """
    found = {question: judged(right, context, metric) for question, right in asked.items()}
    known = {question: verdict for question, verdict in found.items() if verdict is not None}
    corrected = correct_for_many(list(known.values()))
    return {question: verdict_json(verdict) or {} for question, verdict in zip(known, corrected, strict=True)}


def _examples(exam: Exam, answers: Answers, context: Context) -> list[dict[str, Any]]:
    """Return a picture of each corruption at its middle severity, with every model's answer; of the first seed.

    Where there is one, a sample is shown that student and control do not both have right or wrong.
    """
    keys = [subject.key for subject in exam.subjects]
    found = []
    for number, corruption in enumerate([one for one in exam.corruptions if one.name in answers][:EXAMPLES]):
        severity = exam.request.severities[len(exam.request.severities) // 2]
        said = dict(zip(keys, answers[corruption.name][severity], strict=True))
        row = _telling(exam, said, context, number)
        found.append({
            "corruption": corruption.name,
            "severity": severity,
            "id": exam.samples.ids[row],
            "label": context.classes[int(exam.samples.labels[row])],
            "png": _picture(exam, corruption, severity, row),
            "answers": {
                key: {"class": context.classes[int(one.classes[0, row])], "probability": float(one.sure[0, row])}
                for key, one in said.items()
            },
        })  # fmt: skip
    return found


def _telling(exam: Exam, said: Mapping[str, Said], context: Context, number: int) -> int:
    against = context.against
    if against is not None and {against, STUDENT} <= said.keys():
        one, two = (exam.right(said[key])[0] for key in (STUDENT, against))
        if (rows := np.flatnonzero(one != two)).size:
            return int(rows[number % rows.size])
    return number % len(exam.samples)


def _picture(exam: Exam, corruption: AnyCorruption, severity: int, row: int) -> str | None:
    if exam.samples.kind != "image":
        return None
    samples = exam.samples
    one = Samples(
        samples.inputs_of(torch.tensor([row])).cpu(), samples.labels[row : row + 1].cpu(), (samples.ids[row],)
    )
    return png(exam.corrupted(corruption, severity, one).inputs[0])
