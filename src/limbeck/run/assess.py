"""From finished fits to `report.json`: metrics, verdicts and what the page draws."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
from limbeck.run import remarks
from limbeck.run.answers import Answers, Floats, ask, verdict_json
from limbeck.run.box import BlackBox
from limbeck.run.chains import BySeed, Chains
from limbeck.run.controls import SINGLE
from limbeck.run.fits import STUDENT, best_seed, validation_accuracy
from limbeck.run.further import FurtherFindings
from limbeck.run.inherit import copied
from limbeck.run.listen import describe_black_box, listen
from limbeck.run.memory import REMEMBERING, judges_memory, old_and_new
from limbeck.run.model_plan import ModelPlan
from limbeck.run.own_teacher import lineage
from limbeck.run.pictures import curves
from limbeck.run.plan import Plan
from limbeck.run.shared import learner
from limbeck.run.stage_plan import StagePlan
from limbeck.run.starts import leaks
from limbeck.run.task import Task
from limbeck.types import known

SCHEMA = 1
FEW_VALIDATION = 50
NAMED = 12
ALIGNING = "Bringing the domains together"
GENERATING = "Generating samples"
TEACHER = "teacher"
MEMBER = "member"
TITLES = {
    "labels": "labels only",
    "smoothing": "labels, smoothed by 0.1",
    "teacher_labels": "the teacher's hard labels",
    "self_training": "its own pseudo-labels",
    "adversarial": "labels, on inputs that fool it",
    "trades": "labels, and the same answer for inputs that fool it (TRADES)",
    "scratch": "labels only, from new weights",
    "single": "labels only, each task by itself",
    "source_only": "the source's labels, domains left apart",
    "gaussian_noise": "the teacher's answers on Gaussian noise",
    "uniform_noise": "the teacher's answers on uniform noise",
    "matched_noise": "the teacher's answers on noise with every pixel's own distribution",
    "proxy": "the teacher's answers on samples of another source",
}


@dataclass(eq=False)
class Findings:
    """What is known about every model of a run, by its key in the report."""

    fits: dict[str, BySeed] = field(default_factory=dict)
    boxes: dict[str, BlackBox] = field(default_factory=dict)  # those that only answer
    answers: dict[str, Answers] = field(default_factory=dict)
    roles: dict[str, tuple[str, str]] = field(default_factory=dict)  # key: (role, name)
    made: dict[str, ModelPlan] = field(default_factory=dict)  # of those that were trained or taken as they are
    stages: dict[str, dict[str, str]] = field(default_factory=dict)  # stage: {role: key}
    alone: dict[str, Verdict] = field(default_factory=dict)  # by stage, each as if it were the only one
    verdicts: dict[str, Verdict] = field(default_factory=dict)  # by stage, corrected for their number
    notes: tuple[str, ...] = ()
    further: dict[str, FurtherFindings] = field(default_factory=dict)  # by task
    singles: dict[str, BySeed] = field(default_factory=dict)  # networks for one further task alone, by task

    @property
    def teacher(self) -> Answers | None:
        """The teacher's answers, None when there is no teacher."""
        return self.answers.get(TEACHER)


@dataclass(eq=False)
class Asked:
    """What models have said about the test samples, so that one that several points of a sweep share is asked once."""

    answers: dict[tuple[Path, ...], Answers] = field(default_factory=dict)
    boxes: dict[BlackBox, tuple[Answers | None, tuple[str, ...]]] = field(default_factory=dict)

    def fits(self, fits: BySeed, plan: Plan) -> Answers:
        """Return the answers of trained models."""
        key = tuple(one.folder for one in fits.values())
        if key not in self.answers:
            self.answers[key] = ask(fits, plan.data, plan.task.scores)
        return self.answers[key]

    def box(self, box: BlackBox, plan: Plan) -> tuple[Answers | None, tuple[str, ...]]:
        """Return the answers of a black box, None where they are not known, and notes."""
        if box not in self.boxes:
            self.boxes[box] = listen(box, plan.data, plan.seeds[0])
        return self.boxes[box]


def assess(plan: Plan, teachers: BySeed, chains: Chains) -> Findings:
    """Ask every model about the test samples, once, and judge every stage."""
    findings = gather(plan, teachers, chains, Asked())
    correct_together([findings])
    return findings


def correct_together(found: Sequence[Findings]) -> None:
    """Fill in the verdicts of all findings, corrected for the number of all of them."""
    further = [task for one in found for task in one.further.values() if task.alone is not None]
    verdicts = [verdict for one in found for verdict in one.alone.values()]
    corrected = iter(correct_for_many([*verdicts, *(task.alone for task in further if task.alone is not None)]))
    for one in found:
        one.verdicts = {stage: next(corrected) for stage in one.alone}
    for task in further:
        task.verdict = next(corrected)


def gather(plan: Plan, teachers: BySeed, chains: Chains, asked: Asked) -> Findings:
    """Ask every model about the test samples and judge every stage as if it were the only one."""
    findings = Findings()
    if teachers and plan.teacher is not None:
        findings.made[TEACHER] = plan.teacher.model
        _add(findings, TEACHER, "teacher", TEACHER, teachers, asked.fits(teachers, plan))
    if plan.black_box is not None:
        _add_boxes(findings, plan.black_box, plan, asked)
    for stage in plan.stages:
        for role, fits in chains.fits[stage.name].items():
            if role.startswith(f"{SINGLE}-"):  # of a further task: it says nothing of the main one
                findings.singles[role.removeprefix(f"{SINGLE}-")] = fits
                continue
            shared = next((key for key, other in findings.fits.items() if other == fits), None)
            key = shared or _key_of(plan, chains, stage, role)
            if shared is None:
                kind = "control" if role != STUDENT else "student" if stage is plan.stages[-1] else "stage"
                findings.made[key] = learner(plan, stage, role)
                _add(findings, key, kind, role, fits, asked.fits(fits, plan))
            findings.stages.setdefault(stage.name, {})[role] = key
    if plan.controls:
        findings.alone = {stage.name: _judge(plan, stage, findings) for stage in plan.stages}
    return findings


def _add_boxes(findings: Findings, box: BlackBox, plan: Plan, asked: Asked) -> None:
    """Add what a black box says, and each teacher in it where it is an ensemble."""
    heard, findings.notes = asked.box(box, plan)
    if heard is not None:
        findings.boxes[TEACHER], findings.answers[TEACHER] = box, heard
        findings.roles[TEACHER] = (TEACHER, TEACHER)
    for name, member in box.members:
        said, _ = asked.box(member, plan)
        if said is not None:
            key = f"{TEACHER}/{name}"
            findings.boxes[key], findings.answers[key], findings.roles[key] = member, said, (MEMBER, name)


def _key_of(plan: Plan, chains: Chains, stage: StagePlan, role: str) -> str:
    """Return a model's key in the report: its role where the last stage has it, else the stage's name and role."""
    last = chains.fits[plan.stages[-1].name]
    return role if chains.fits[stage.name][role] == last[role] else f"{stage.name}/{role}"


def describe_models(plan: Plan, findings: Findings) -> dict[str, Any]:
    """Return the report's `models` section."""
    sample = plan.data.test.batch(torch.zeros(1, dtype=torch.int64)).inputs.cpu()
    speeds: dict[ModelPlan, list[dict[str, float]]] = {}
    found = {key: _describe_box(plan, findings, key, sample) for key in findings.boxes}
    return found | {key: _describe(plan, findings, key, sample, speeds) for key in findings.fits}


def _describe_box(plan: Plan, findings: Findings, key: str, sample: Tensor) -> dict[str, Any]:
    (role, name), box, answers = findings.roles[key], findings.boxes[key], findings.answers[key]
    metrics = plan.task.metrics(answers, findings.teacher, plan.evaluate)
    about = {"role": role, "name": name, "title": _title(role, name, key)}
    return {**about, **describe_black_box(box, plan.data, metrics, sample)}


def describe_stages(plan: Plan, findings: Findings) -> list[dict[str, Any]]:
    """Return the report's `stages` section."""
    return [
        {
            "name": stage.name,
            "model": findings.stages[stage.name][STUDENT],
            "objective": stage.objective.describe(),
            "frozen": next(iter(findings.fits[findings.stages[stage.name][STUDENT]].values())).frozen,
            "lora": next(iter(findings.fits[findings.stages[stage.name][STUDENT]].values())).lora,
            "teacher": stage.teacher or (_within(plan) if stage.objective.needs else None),
            "copied": copied(plan)[0] if stage.start == "scratch" and stage.student is None else {},
            "layers": list(next(iter(findings.fits[findings.stages[stage.name][STUDENT]].values())).layers),
            "controls": {role: key for role, key in findings.stages[stage.name].items() if role != STUDENT},
            "verdict": verdict_json(findings.verdicts.get(stage.name)),
        }
        for stage in plan.stages
    ]


def _within(plan: Plan) -> str | None:
    return "itself" if plan.itself is not None else "peer" if plan.peer is not None else None


def describe_data(plan: Plan, notes: Sequence[str] = ()) -> dict[str, Any]:
    """Return the report's `data` section; counts of labels are those of one seed; notes: further ones."""
    data = plan.data
    labels = plan.visible_labels(plan.seeds[0])
    labelled = int(known(labels[data.train]).sum())
    views = plan.views
    return {
        "source": public_source(data.source),
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
        "corruptions": None if plan.corrupting is None else str(plan.corrupting),
        "notes": [*data.notes, *plan.notes, *([start] if (start := copied(plan)[1]) else []), *leaks(plan), *notes],
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
    free = {role: key for role, key in keys.items() if role not in (STUDENT, "teacher_labels", SINGLE)}
    teacher, task = findings.teacher, plan.task
    own = None if stage.teacher is None else findings.answers[findings.stages[stage.teacher][STUDENT]]
    hard = keys.get("teacher_labels") if _is_softly_taught(plan, stage) else None
    student = task.merits(findings.answers[keys[STUDENT]])
    controls = {role: task.merits(findings.answers[key]) for role, key in free.items()}
    theirs = None if teacher is None else task.merits(teacher)
    fits = {role: findings.fits[key] for role, key in free.items()}
    validation, chosen_by = choose_control(task, fits, controls, student, plan.not_validated)
    return judge(
        student,
        controls,
        validation=validation,
        teacher=theirs if theirs is None or len(theirs) > 1 else theirs[0],
        teacher_labels=task.merits(findings.answers[hard]) if hard else None,
        margin=plan.margin,
        relative=task.relative,
        metric=task.primary,
        subject=_subject(plan, stage),
        without=_without(plan, stage),
        notes=[
            *chosen_by,
            *remarks.short_training(plan, stage, findings.fits[keys[STUDENT]]),
            *remarks.chosen_without_labels(stage),
            *remarks.whose_labels(plan, stage),
            *remarks.same_start(plan),
            *old_and_new(plan, {role: findings.answers[key] for role, key in keys.items()}),
            *remarks.on_the_peer(findings.fits[keys[STUDENT]]),
            *remarks.on_the_teacher(task, stage, theirs, None if own is None else task.merits(own), controls),
        ],
    )


def _subject(plan: Plan, stage: StagePlan) -> str:
    if plan.generated is not None:
        return GENERATING
    if _is_held(plan, stage):
        return REMEMBERING
    return ALIGNING if stage.objective.aligns and not stage.objective.needs else "Distillation"


def _without(plan: Plan, stage: StagePlan) -> str:
    if _is_held(plan, stage):
        return "without it"
    return "without a teacher" if plan.generated is None else "without generated samples"


def _is_held(plan: Plan, stage: StagePlan) -> bool:
    """Whether remembering is what was tried in a stage or one that it comes from."""
    return judges_memory(plan) and any(one.objective.remembers_source for one in lineage(plan, stage))


def _is_softly_taught(plan: Plan, stage: StagePlan) -> bool:
    """Whether this stage or one that it starts from learned more from the teacher than hard labels."""
    if stage.objective.needs & {"probs", "logits", "features"}:
        return True
    before = [other for other in plan.stages if other.name == stage.start]
    return bool(before) and _is_softly_taught(plan, before[0])


def choose_control(
    task: Task,
    fits: Mapping[str, BySeed],
    controls: Mapping[str, Floats],
    student: Floats,
    missing: Sequence[str] = (),
    validated: Callable[[BySeed], float] = validation_accuracy,
) -> tuple[dict[str, float], list[str]]:
    """Return what the best control is chosen by, and a note where that is shaky.

    It is the mean validation accuracy, or the task's own figure there, as `validated` has it. Without validation
    labels, or where some are `missing`, it is that on the test samples, which can only make the student look worse.
    """
    gains = ", ".join(f"{role} {task.gain_told(float((student - other).mean()))}" for role, other in controls.items())
    each = f"The gain against each control{'' if task.relative else ', in points'}: {gains}."
    counts = [one.validation_samples for by_seed in fits.values() for one in by_seed.values()]
    if min(counts) == 0 or missing:
        strict = {role: float(correct.mean()) for role, correct in controls.items()}
        which = f" of {', '.join(missing[:NAMED])}{' and others' if len(missing) > NAMED else ''}" if missing else ""
        return strict, [
            f"There are no validation labels{which} to choose the best control by, so the verdict is against the one "
            f"that did best on the test samples. {each}"
        ]
    validation = {role: validated(by_seed) for role, by_seed in fits.items()}
    if min(counts) < FEW_VALIDATION and len(controls) > 1:
        return validation, [f"The best control was chosen by only {min(counts)} validation labels. {each}"]
    return validation, []


def _describe(
    plan: Plan, findings: Findings, key: str, sample: Tensor, speeds: dict[ModelPlan, list[dict[str, float]]]
) -> dict[str, Any]:
    fits, (role, name), made = findings.fits[key], findings.roles[key], findings.made[key]
    best = fits[best_seed(fits)]
    size = cost.size(best.model, sample)
    if made not in speeds:  # controls have the student's architecture
        speeds[made] = cost.latency(best.model, sample, sorted({1, torch.get_num_threads()}))
    steps = [one.steps for one in fits.values()]
    seen = [one.progress.best_accuracy for one in fits.values()]
    return {
        "role": role,
        "name": name,
        "title": _title(role, name, key),
        "architecture": made.title,
        "metrics": plan.task.metrics(findings.answers[key], findings.teacher, plan.evaluate),
        "steps": steps[0] if len(set(steps)) == 1 and not made.grown else None,
        "steps_per_seed": None if made.grown else steps,
        "parameters": size.parameters,
        "bytes": size.bytes,
        "macs": size.macs,
        "latency_ms": speeds[made],
        "checksum": read_card(best.folder)["sha256"],
        "validation_accuracy": None if None in seen else float(np.mean([one for one in seen if one is not None])),
        "best_seed": best.seed,
        "temperature": best.temperature if plan.task.names_a_class else None,
    }


def _title(role: str, name: str, key: str) -> str:
    stage = key.rpartition("/")[0]
    if role == "control":
        return f"{TITLES[name]}, stage {stage}" if stage else TITLES[name]
    return f"stage {stage}" if role == "stage" else "one of the ensemble" if role == MEMBER else role


def public_source(source: str) -> str:
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
