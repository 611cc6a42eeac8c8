"""From finished fits to `report.json`: metrics, verdicts and what the page draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import limbeck
from limbeck.data.preprocess import Preprocessing
from limbeck.evaluate import cost
from limbeck.evaluate.verdict import Verdict, correct_for_many, judge
from limbeck.models.weights import read_card
from limbeck.run.answers import Answers, Floats, ask, verdict_json
from limbeck.run.box import BlackBox
from limbeck.run.chains import BySeed, Chains
from limbeck.run.fits import STUDENT, best_seed, validation_accuracy
from limbeck.run.listen import describe_black_box, listen
from limbeck.run.pictures import curves
from limbeck.run.plan import Plan, StagePlan
from limbeck.run.task import Task
from limbeck.teachers.seen import count_seen
from limbeck.types import known

SCHEMA = 1
FEW_STEPS = 100
FEW_VALIDATION = 50
TEACHER = "teacher"
TITLES = {
    "labels": "labels only",
    "smoothing": "labels, smoothed by 0.1",
    "teacher_labels": "the teacher's hard labels",
    "self_training": "its own pseudo-labels",
}


@dataclass(eq=False)
class Findings:
    """What is known about every model of a run, by its key in the report."""

    fits: dict[str, BySeed] = field(default_factory=dict)
    answers: dict[str, Answers] = field(default_factory=dict)
    roles: dict[str, tuple[str, str]] = field(default_factory=dict)  # key: (role, name)
    stages: dict[str, dict[str, str]] = field(default_factory=dict)  # stage: {role: key}
    alone: dict[str, Verdict] = field(default_factory=dict)  # by stage, each as if it were the only one
    verdicts: dict[str, Verdict] = field(default_factory=dict)  # by stage, corrected for their number
    notes: tuple[str, ...] = ()

    @property
    def teacher(self) -> Answers | None:
        """The teacher's answers, None when there is no teacher."""
        return self.answers.get(TEACHER)


@dataclass(eq=False)
class Asked:
    """What models have said about the test samples, so that one that several points of a sweep share is asked once."""

    answers: dict[tuple[Path, ...], Answers] = field(default_factory=dict)
    black_box: tuple[Answers | None, tuple[str, ...]] | None = None

    def fits(self, fits: BySeed, plan: Plan) -> Answers:
        """Return the answers of trained models."""
        key = tuple(one.folder for one in fits.values())
        if key not in self.answers:
            self.answers[key] = ask(fits, plan.data, plan.task.scores)
        return self.answers[key]

    def box(self, box: BlackBox, plan: Plan) -> tuple[Answers | None, tuple[str, ...]]:
        """Return the answers of a black box, None where they are not known, and notes."""
        if self.black_box is None:
            self.black_box = listen(box, plan.data, plan.seeds[0])
        return self.black_box


def assess(plan: Plan, teachers: BySeed, chains: Chains) -> Findings:
    """Ask every model about the test samples, once, and judge every stage."""
    findings = gather(plan, teachers, chains, Asked())
    correct_together([findings])
    return findings


def correct_together(found: Sequence[Findings]) -> None:
    """Fill in the verdicts of all findings, corrected for the number of all of them."""
    corrected = iter(correct_for_many([verdict for one in found for verdict in one.alone.values()]))
    for one in found:
        one.verdicts = {stage: next(corrected) for stage in one.alone}


def gather(plan: Plan, teachers: BySeed, chains: Chains, asked: Asked) -> Findings:
    """Ask every model about the test samples and judge every stage as if it were the only one."""
    findings = Findings()
    if teachers:
        _add(findings, TEACHER, "teacher", TEACHER, teachers, asked.fits(teachers, plan))
    if plan.black_box is not None:
        heard, findings.notes = asked.box(plan.black_box, plan)
        if heard is not None:
            findings.answers[TEACHER], findings.roles[TEACHER] = heard, (TEACHER, TEACHER)
    for stage in plan.stages:
        for role, fits in chains.fits[stage.name].items():
            shared = next((key for key, other in findings.fits.items() if other == fits), None)
            key = shared or _key_of(plan, chains, stage, role)
            if shared is None:
                kind = "control" if role != STUDENT else "student" if stage is plan.stages[-1] else "stage"
                _add(findings, key, kind, role, fits, asked.fits(fits, plan))
            findings.stages.setdefault(stage.name, {})[role] = key
    if plan.controls:
        findings.alone = {stage.name: _judge(plan, stage, findings) for stage in plan.stages}
    return findings


def _key_of(plan: Plan, chains: Chains, stage: StagePlan, role: str) -> str:
    """Return a model's key in the report: its role where the last stage has it, else the stage's name and role."""
    last = chains.fits[plan.stages[-1].name]
    return role if chains.fits[stage.name][role] == last[role] else f"{stage.name}/{role}"


def describe_models(plan: Plan, findings: Findings) -> dict[str, Any]:
    """Return the report's `models` section."""
    sample = plan.data.test.batch(torch.zeros(1, dtype=torch.int64)).inputs.cpu()
    speeds: dict[str, list[dict[str, float]]] = {}
    heard = plan.black_box is not None and findings.teacher is not None
    found = {TEACHER: describe_black_box(plan, findings.answers[TEACHER], sample)} if heard else {}
    return found | {key: _describe(plan, findings, key, sample, speeds) for key in findings.fits}


def describe_stages(plan: Plan, findings: Findings) -> list[dict[str, Any]]:
    """Return the report's `stages` section."""
    return [
        {
            "name": stage.name,
            "model": findings.stages[stage.name][STUDENT],
            "objective": stage.objective.describe(),
            "layers": list(next(iter(findings.fits[findings.stages[stage.name][STUDENT]].values())).layers),
            "controls": {role: key for role, key in findings.stages[stage.name].items() if role != STUDENT},
            "verdict": verdict_json(findings.verdicts.get(stage.name)),
        }
        for stage in plan.stages
    ]


def describe_data(plan: Plan, notes: Sequence[str] = ()) -> dict[str, Any]:
    """Return the report's `data` section; counts of labels are those of one seed; notes: further ones."""
    data = plan.data
    labels = data.visible_labels(plan.labels_per_class, plan.seeds[0])
    labelled = int(known(labels[data.train]).sum())
    views = plan.views
    return {
        "source": _public(data.source),
        "kind": data.kind,
        "shape": list(data.shape),
        "columns": _columns(data.preprocessing),
        "classes": list(data.classes),
        "train": len(data.train),
        "labelled": labelled,
        "unlabelled": len(data.train) - labelled,
        "validation": len(data.validation),
        "validation_labelled": int(known(labels[data.validation]).sum()),
        "test": len(data.test),
        "split_seed": data.split_seed,
        "augment": [] if views is None else [str(transform) for transform in views.transforms],
        "views": None if views is None else views.count,
        "notes": [*data.notes, *plan.notes, *notes],
    }


def _columns(learned: Preprocessing | None) -> dict[str, int] | None:
    """Return how many columns of a table hold numbers and how many categories; None for other data."""
    if learned is None:
        return None
    return {"numbers": len(learned.numbers), "categories": len(learned.categories)}


def drawings(plan: Plan, findings: Findings) -> dict[str, Any]:
    """Return what the page draws: curves, and what the task has to show of the answers."""
    roles = {key: role for key, (role, _) in findings.roles.items()}
    best = best_seed(findings.fits[STUDENT])
    return {
        "curves": {key: curves(fits.values()) for key, fits in findings.fits.items()},
        **{"confusion": {}, "reliability": {}, "disagreements": [], "scatter": {}, "by_label": {}},
        **plan.task.drawings(findings.answers, roles, best, plan.data, plan.evaluate),
    }


def _add(findings: Findings, key: str, kind: str, role: str, fits: BySeed, answers: Answers) -> None:
    findings.fits[key], findings.roles[key], findings.answers[key] = fits, (kind, role), answers


def _judge(plan: Plan, stage: StagePlan, findings: Findings) -> Verdict:
    keys = findings.stages[stage.name]
    free = {role: key for role, key in keys.items() if role not in (STUDENT, "teacher_labels")}
    teacher, task = findings.teacher, plan.task
    hard = keys.get("teacher_labels") if _is_softly_taught(plan, stage) else None
    student = task.merits(findings.answers[keys[STUDENT]])
    controls = {role: task.merits(findings.answers[key]) for role, key in free.items()}
    theirs = None if teacher is None else task.merits(teacher)
    fits = {role: findings.fits[key] for role, key in free.items()}
    validation, chosen_by = _choice(task, fits, controls, student)
    return judge(
        student,
        controls,
        validation=validation,
        teacher=theirs if theirs is None or len(theirs) > 1 else theirs[0],
        teacher_labels=task.merits(findings.answers[hard]) if hard else None,
        margin=plan.margin,
        relative=task.relative,
        metric=task.primary,
        notes=[
            *chosen_by,
            *_short_training(stage, findings.fits[keys[STUDENT]]),
            *_whose_labels(plan),
            *_same_start(plan),
            *_weak_teacher(task, theirs, controls),
        ],
    )


def _is_softly_taught(plan: Plan, stage: StagePlan) -> bool:
    """Whether this stage or one that it starts from learned more from the teacher than hard labels."""
    if stage.objective.needs & {"probs", "logits", "features"}:
        return True
    before = [other for other in plan.stages if other.name == stage.start]
    return bool(before) and _is_softly_taught(plan, before[0])


def _choice(
    task: Task, fits: Mapping[str, BySeed], controls: Mapping[str, Floats], student: Floats
) -> tuple[dict[str, float], list[str]]:
    """Return what the best control is chosen by, and a note where that is shaky.

    It is the mean validation accuracy, or the task's own figure there. Without validation labels it is that on the test
    samples, which can only make the student look worse.
    """
    gains = ", ".join(f"{role} {task.gain_told(float((student - other).mean()))}" for role, other in controls.items())
    each = f"The gain against each control{'' if task.relative else ', in points'}: {gains}."
    counts = [one.validation_samples for by_seed in fits.values() for one in by_seed.values()]
    if min(counts) == 0:
        strict = {role: float(correct.mean()) for role, correct in controls.items()}
        return strict, [
            f"There are no validation labels to choose the best control by, so the verdict is against the one that did "
            f"best on the test samples. {each}"
        ]
    validation = {role: validation_accuracy(by_seed) for role, by_seed in fits.items()}
    if min(counts) < FEW_VALIDATION and len(controls) > 1:
        return validation, [f"The best control was chosen by only {min(counts)} validation labels. {each}"]
    return validation, []


def _short_training(stage: StagePlan, fits: BySeed) -> list[str]:
    steps = max(one.progress.step for one in fits.values())
    if steps >= FEW_STEPS:
        return []
    return [
        f"Stage {stage.name} took only {steps} optimizer steps of {stage.settings.batch_size} samples: more epochs or "
        f"a smaller batch_size may change the picture."
    ]


def _whose_labels(plan: Plan) -> list[str]:
    if plan.teacher is None and plan.black_box is None:
        return []
    labels = plan.data.visible_labels(plan.labels_per_class, plan.seeds[0])
    mine = int(known(labels).sum())
    theirs = _labels_of_the_teacher(plan, mine)
    if theirs is None:
        return [
            "The teacher was trained elsewhere, on labels that this run knows nothing of; test samples may be "
            "among them."
        ]
    if theirs <= mine:
        return []
    return [
        f"The teacher has seen {theirs:,} labels, the student and its controls {mine:,} (validation included): part of "
        f"the gain is access to those labels."
    ]


def _labels_of_the_teacher(plan: Plan, mine: int) -> int | None:
    """Return how many labels the teacher has seen, None when nobody knows; mine: how many the student has."""
    teacher = plan.teacher
    if teacher is None:
        return plan.black_box.labels_seen if plan.black_box is not None else None
    if teacher.settings is None:
        return count_seen(teacher.model.weights.parent) if teacher.model.weights else None
    return mine if teacher.labels == "same" else int(known(plan.data.pool.labels).sum())


def _same_start(plan: Plan) -> list[str]:
    if plan.student.fresh:
        return []
    return ["Every seed starts from the same given weights; only order, dropout and drawn labels vary."]


def _weak_teacher(task: Task, teacher: Floats | None, controls: Mapping[str, Floats]) -> list[str]:
    if teacher is None:
        return []
    best, mean = max(float(merits.mean()) for merits in controls.values()), float(teacher.mean())
    if mean > best:
        return []
    return [
        f"The teacher ({task.told(mean)}) is no better than a control without it "
        f"({task.told(best).removesuffix(' right')}): check its weights, normalisation and class order before you "
        f"judge the method."
    ]


def _describe(
    plan: Plan, findings: Findings, key: str, sample: Tensor, speeds: dict[str, list[dict[str, float]]]
) -> dict[str, Any]:
    fits, (role, name) = findings.fits[key], findings.roles[key]
    best = fits[best_seed(fits)]
    made = plan.teacher.model if role == "teacher" and plan.teacher else plan.student
    size = cost.size(best.model, sample)
    group = TEACHER if role == "teacher" else STUDENT  # controls have the student's architecture
    if group not in speeds:
        speeds[group] = cost.latency(best.model, sample, sorted({1, torch.get_num_threads()}))
    steps = [one.steps for one in fits.values()]
    seen = [one.progress.best_accuracy for one in fits.values()]
    return {
        "role": role,
        "name": name,
        "title": _title(role, name, key),
        "architecture": made.title,
        "metrics": plan.task.metrics(findings.answers[key], findings.teacher, plan.evaluate),
        "steps": steps[0] if len(set(steps)) == 1 else None,
        "steps_per_seed": steps,
        "parameters": size.parameters,
        "bytes": size.bytes,
        "macs": size.macs,
        "latency_ms": speeds[group],
        "checksum": read_card(best.folder)["sha256"],
        "validation_accuracy": None if None in seen else float(np.mean([one for one in seen if one is not None])),
        "best_seed": best.seed,
        "temperature": best.temperature if plan.task.names_a_class else None,
    }


def _title(role: str, name: str, key: str) -> str:
    stage = key.rpartition("/")[0]
    if role == "control":
        return f"{TITLES[name]}, stage {stage}" if stage else TITLES[name]
    return f"stage {stage}" if role == "stage" else role


def _public(source: str) -> str:
    """Return a source without the folders above its last one, which are the user's own business."""
    kind, colon, place = source.partition(":")
    return f"{kind}:{place.rstrip('/').rpartition('/')[2]}" if colon else source


def header(plan: Plan, created: str, notes: Sequence[str] = ()) -> dict[str, Any]:
    """Return the first lines of report.json; notes: what was found on the way."""
    return {
        "schema": SCHEMA,
        "limbeck": limbeck.__version__,
        "name": plan.name,
        "created": created,
        "task": plan.task.name,
        "primary": plan.task.primary,
        "validated_by": "accuracy" if plan.task.score is None else plan.task.score.name,
        "data": describe_data(plan, notes),
        "seeds": list(plan.seeds),
    }
