"""Several tasks at once, from finished fits to the report: what each head says, and a verdict for each task.

Shapes: S seeds, N test samples that have a label in the task, T its classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from limbeck.data.further import FurtherTask
from limbeck.evaluate.calibration import softmax
from limbeck.evaluate.verdict import Verdict, judge
from limbeck.objectives.objective import MAIN
from limbeck.run import remarks
from limbeck.run.answers import Answers, metrics_of, verdict_json
from limbeck.run.assess import TEACHER, Findings, choose_control
from limbeck.run.chains import BySeed
from limbeck.run.controls import SINGLE
from limbeck.run.fits import STUDENT
from limbeck.run.further import FurtherFindings, FurtherPlan
from limbeck.run.plan import Plan
from limbeck.train.heads import predict_heads
from limbeck.train.loop import predict
from limbeck.types import known

HARD_LABELS = "teacher_labels"
SOFT = frozenset({"probs", "logits"})


def judge_further(plan: Plan, findings: Findings, teachers: Mapping[str, BySeed]) -> None:
    """Ask every head of every model about the test samples and judge each further task as if it were the only one.

    teachers: of further tasks, by task. Fills in `findings.further`.
    """
    if not plan.tasks:
        return
    findings.further = {one.task.name: FurtherFindings() for one in plan.tasks}
    for key, fits in findings.fits.items():
        if findings.roles[key][1] not in (TEACHER, SINGLE):
            for name, answers in _ask(plan, fits).items():
                findings.further[name].answers[key] = answers
    for name, fits in findings.singles.items():
        findings.further[name].answers[SINGLE] = _ask(plan, fits)[name]
    for one in plan.tasks:
        found = findings.further[one.task.name]
        if taught := teachers.get(one.task.name):
            said = [predict(trained.model, plan.data.test).numpy() for trained in taught.values()]
            found.answers[TEACHER] = _answers(plan, one.task, said, tuple(taught))
        if plan.controls:
            found.alone = _judge(plan, findings, one)


def describe_further(plan: Plan, findings: Findings) -> list[dict[str, Any]] | None:
    """Return the report's `tasks`, the further ones; None where there is the main one alone."""
    if not plan.tasks:
        return None
    weights = {key: _weights(fits) for key, fits in findings.fits.items()}
    return [
        {
            "name": one.task.name,
            "classes": _groups(plan, one.task),
            "test": int(known(one.task.labels(plan.data.test.labels)).sum()),
            "teacher": one.teacher.model.title if one.teacher is not None else None,
            "models": {
                key: metrics_of(answers, findings.further[one.task.name].answers.get(TEACHER), plan.evaluate)
                for key, answers in findings.further[one.task.name].answers.items()
            },
            "verdict": verdict_json(findings.further[one.task.name].verdict),
            "weights": {key: _of(each, MAIN, one.task.name) for key, each in weights.items() if each},
        }
        for one in plan.tasks
    ]


def _ask(plan: Plan, fits: BySeed) -> dict[str, Answers]:
    """Return what the heads of a model's seeds say, by task."""
    said = [predict_heads(one.model, plan.data.test) for one in fits.values()]
    return {
        one.task.name: _answers(plan, one.task, [each[one.task.name].numpy() for each in said], tuple(fits))
        for one in plan.tasks
    }


def _answers(plan: Plan, task: FurtherTask, logits: list[Any], seeds: tuple[int, ...]) -> Answers:
    """Return answers from logits [N, T] of each seed for all test samples, without those of no class in the task."""
    labels = task.labels(plan.data.test.labels).cpu()
    there = known(labels).numpy()
    return Answers(np.stack([softmax(one[there]) for one in logits]), seeds, labels.numpy()[there])


def _judge(plan: Plan, findings: Findings, further: FurtherPlan) -> Verdict:
    stage, name = plan.stages[-1], further.task.name
    keys, answers = findings.stages[stage.name], findings.further[name].answers
    free = {role: key for role, key in keys.items() if role not in (STUDENT, HARD_LABELS, SINGLE)}
    student = answers[keys[STUDENT]].correct
    controls = {role: answers[key].correct for role, key in free.items()}
    fits = {role: findings.fits[key] for role, key in free.items()}
    validated = partial(_validated, plan, further.task)
    validation, notes = choose_control(plan.task, fits, controls, student, plan.not_validated, validated)
    theirs = answers[TEACHER].correct if TEACHER in answers else None
    mine = stage.objective.of_task(name)
    hard = keys.get(HARD_LABELS) if mine is not None and mine.needs & SOFT else None
    return judge(
        student,
        controls,
        validation=validation,
        teacher=theirs if theirs is None or len(theirs) > 1 else theirs[0],
        teacher_labels=answers[hard].correct if hard else None,
        margin=plan.margin,
        notes=[
            *notes,
            *_whose_labels(plan, further),
            *remarks.on_the_teacher(plan.task, stage, theirs, None, controls),
        ],
    )


def _validated(plan: Plan, task: FurtherTask, fits: BySeed) -> float:
    """Return the mean over seeds of a model's accuracy in a task on the validation samples with a visible label."""
    found = []
    for seed, one in fits.items():
        labels = task.labels(plan.visible_labels(seed)).cpu()
        rows = plan.data.validation[known(labels[plan.data.validation])]
        chosen = predict_heads(one.model, plan.data.pool, rows)[task.name].argmax(1)
        found.append(float((chosen == labels[rows]).double().mean()) if len(rows) else 0.0)
    return float(np.mean(found))


def _whose_labels(plan: Plan, further: FurtherPlan) -> list[str]:
    """Say that the task's teacher has seen more labels than the student."""
    if further.teacher is None or further.teacher.settings is None:
        return []
    labels = [plan.visible_labels(plan.seeds[0]), plan.data.pool.labels]
    mine, theirs = (int(known(further.task.labels(one)).sum()) for one in labels)
    if theirs <= mine:
        return []
    return [
        f"The teacher of {further.task.name} has seen {theirs:,} labels, the student and its controls {mine:,} "
        f"(validation included): part of the gain is access to those labels."
    ]


def _groups(plan: Plan, task: FurtherTask) -> dict[str, list[str]]:
    """Return the classes of the data that each class of a task is made of."""
    numbers = task.lookup[:-1].tolist()
    return {
        name: [mine for mine, number in zip(plan.data.classes, numbers, strict=True) if number == place]
        for place, name in enumerate(task.classes)
    }


def _of(weights: Mapping[str, float], *names: str) -> dict[str, float]:
    return {name: weights[name] for name in names}


def _weights(fits: BySeed) -> dict[str, float]:
    """Return the mean over seeds of what each task's loss was multiplied by in the end; {} where that is fixed."""
    each = [(one.learned or {}).get("uncertainty", {}) for one in fits.values()]
    return {name: float(np.mean([one[name] for one in each])) for name in each[0]}
