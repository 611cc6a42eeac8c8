"""`limbeck evaluate --robust`, and `evaluate: [robustness]` at the end of a run: who is asked about what."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from limbeck.data.combine import take
from limbeck.data.dataset import Data
from limbeck.data.samples import Samples
from limbeck.data.source import open_source
from limbeck.data.split import by_hash
from limbeck.errors import DataError, FolderError, UserError
from limbeck.export.manifest import find_bundle, read_manifest
from limbeck.files import write_text
from limbeck.models.weights import read_card
from limbeck.recipe.sources import expand
from limbeck.report.facts import against_key
from limbeck.run.assess import TEACHER, Findings, public_source
from limbeck.run.attacked import Assault, attack_all
from limbeck.run.attacks import AttackRequest
from limbeck.run.clock import Clock
from limbeck.run.corrupted import are_pictures, noise_pictures
from limbeck.run.evaluation import (
    data_of,
    learned_of,
    read_options,
    reading_of_run,
    samples_for_bundle,
    samples_for_run,
)
from limbeck.run.exam import Exam, Request, ask_all, exam_of
from limbeck.run.folder import REPORT, is_run
from limbeck.run.plan import Plan
from limbeck.run.reload import preprocessing_of
from limbeck.run.result import read_report
from limbeck.run.robust import Context, describe
from limbeck.run.said import Said
from limbeck.run.slices import describe_slices
from limbeck.run.subjects import Subject, subjects_of_files, subjects_of_findings, subjects_of_run
from limbeck.run.under_attack import describe_attacks
from limbeck.types import known

ROBUSTNESS, ATTACKS = "robustness", "attacks"
RESULT = "robustness.json"
AT_THE_END = Request(samples=1000)  # of a run whose recipe asks for it
NOISE = "noise"

Tell = Callable[[str], object]


def measure(place: Path, request: Request, source: str | None, tell: Tell) -> dict[str, Any]:
    """Return the section of robustness of a run folder or a bundle.

    source: other data than a run's own test split; a bundle needs some. On a run's own test samples answers are kept in
    its folder as they come, and the section is written into robustness.json and report.json; pages are not rendered
    here. Raises UserError for other tasks than classification, and what `evaluate` raises.
    """
    if not is_run(place):
        return _measure_bundle(find_bundle(place), request, source, tell)
    report = read_report(place)
    _refuse_other_tasks(report["task"])
    card = read_card(place / "student")
    subjects = [*subjects_of_run(place, report), *_files_of(place, report["export"])]
    lessons: dict[str, list[Samples]] = {}
    if source is None:
        data, recipe = data_of(place)
        samples = data.test
        teacher = None if recipe.teacher is None or recipe.teacher.source is not None else recipe.teacher.labels
        hidden = (*recipe.data.unlabelled_classes, *data.unseen_classes)
        few = recipe.data.labels_per_class
        lessons = _lessons(
            data, subjects, lambda seed: data.visible_labels(few, seed, without=hidden), teacher, request
        )
    else:
        samples = samples_for_run(place, source)
    exam = exam_of(request, subjects, samples, preprocessing_of(card), None if source else place / ROBUSTNESS)
    foreign = _foreign(exam, reading_of_run(place, card))
    margin = report["verdict"]["margin"] if report["verdict"] else 0.0
    against = against_key(report, report["verdict"])
    section = _section(exam, Context(tuple(card["classes"]), against, margin, lessons, foreign), tell)
    if source is None:
        write_text(place / RESULT, json.dumps(section, indent=1, allow_nan=False))
        write_text(place / REPORT, json.dumps({**report, ROBUSTNESS: section}, indent=1, allow_nan=False))
    return section


def robustness_of_plan(
    plan: Plan,
    findings: Findings,
    folder: Path,
    models: Mapping[str, Any],
    export: Mapping[str, Any] | None,
    tell: Tell,
) -> dict[str, Any] | None:
    """Return the section of a run that ends; None where its recipe does not ask for it. Answers are kept as they come.

    models, export: as in the report.
    """
    request = _request_of(plan)
    if request is None:
        return None
    last = plan.stages[-1].name
    subjects = [*subjects_of_findings(findings, models, last), *_files_of(folder, export)]
    whose = None if plan.teacher is None or plan.teacher.settings is None else plan.teacher.labels
    lessons = _lessons(plan.data, subjects, plan.visible_labels, whose, request)
    exam = exam_of(request, subjects, plan.data.test, plan.data.preprocessing, folder / ROBUSTNESS)
    verdict = findings.verdicts.get(last)
    against = None if verdict is None else findings.stages[last][verdict.against]
    context = Context(plan.data.classes, against, plan.margin, lessons, _foreign(exam, {}))
    section = _section(exam, context, tell)
    write_text(folder / RESULT, json.dumps(section, indent=1, allow_nan=False))
    return section


def _measure_bundle(bundle: Path, request: Request, source: str | None, tell: Tell) -> dict[str, Any]:
    if source is None:
        raise FolderError(f"{bundle} is a bundle without data; name some with --data, such as --data folder:photos.")
    manifest = read_manifest(bundle)
    _refuse_other_tasks(manifest.get("task", "classification"))
    samples = samples_for_bundle(manifest, source)
    exam = exam_of(request, subjects_of_files(bundle), samples, learned_of(manifest))
    foreign = _foreign(exam, manifest["input"])
    return _section(exam, Context(tuple(manifest["classes"]), None, 0.0, {}, foreign), tell)


def _section(exam: Exam, context: Context, tell: Tell) -> dict[str, Any]:
    """Ask, attack and describe, within one budget."""
    clock = Clock(exam.request.budget)
    assault = None if exam.request.attacks is None else Assault(exam, exam.request.attacks)
    names = () if assault is None else assault.names  # what cannot be asked for is said before anything is asked
    answers = ask_all(exam, tell, clock)
    withstood = attack_all(assault, tell, clock) if assault and names else None
    clean = [subject.logits(exam.samples) for subject in exam.subjects]
    right = {one.key: exam.right(Said.of(said)) for one, said in zip(exam.subjects, clean, strict=True)}
    return {
        **describe(exam, answers, context, clean),
        "slices": describe_slices(exam, right, context),
        ATTACKS: describe_attacks(assault, withstood, context, right) if assault and withstood is not None else None,
    }


def _request_of(plan: Plan) -> Request | None:
    """Return what a recipe asks for at the end of a run, None for nothing."""
    corrupted, attacked = ROBUSTNESS in plan.evaluate, ATTACKS in plan.evaluate
    if not corrupted and not attacked:
        return None
    usual = AT_THE_END if corrupted else replace(AT_THE_END, corruptions=())
    return replace(usual, attacks=AttackRequest()) if attacked else usual


def _refuse_other_tasks(task: str) -> None:
    if task != "classification":
        raise UserError(f"Robustness is measured of classifiers, but the task is {task}.")


def _files_of(run: Path, export: Mapping[str, Any] | None) -> list[Subject]:
    return subjects_of_files(find_bundle(run / "export")) if export else []


def _lessons(
    data: Data,
    subjects: Sequence[Subject],
    labels_of: Callable[[int], Tensor],
    teacher: Literal["all", "same"] | None,
    request: Request,
) -> dict[str, list[Samples]]:
    """Return samples that each subject was trained on, of each seed as many, with the labels it was given.

    labels_of: by seed, those of the pool that student and controls see; teacher: which labels it was given, None for
    one that was not trained here.
    """
    whole = (lambda seed: data.visible_labels(None, seed), data.taught)
    same = (labels_of, data.train)
    shown = {one.key: same for one in subjects if one.role in ("student", "control")}
    if teacher is not None:
        shown |= {one.key: whole if teacher == "all" else same for one in subjects if one.role == TEACHER}
    found = {
        one.key: [_lesson(data, shown[one.key][0](seed), shown[one.key][1], request) for seed in one.seeds]
        for one in subjects
        if one.key in shown
    }
    return {key: lessons for key, lessons in found.items() if all(map(len, lessons))}  # none without labels


def _lesson(data: Data, labels: Tensor, rows: Tensor, request: Request) -> Samples:
    rows = rows[known(labels[rows]).cpu()]
    order = by_hash([data.pool.ids[row] for row in rows.tolist()], request.seed)[: request.samples]
    chosen = rows[torch.from_numpy(np.sort(order))].cpu()
    return replace(take(data.pool, chosen.numpy()), labels=labels.cpu()[chosen])


def _foreign(exam: Exam, reading: dict[str, Any]) -> dict[str, Samples]:
    """Return samples of another kind: random pictures, and those of the source that is asked for."""
    found = {NOISE: noise_pictures(exam.samples, exam.request.seed)} if are_pictures(exam.samples) else {}
    source = exam.request.ood
    if source is None:
        return found
    if exam.learned is not None:
        raise DataError("--ood is for pictures and vectors; a table of another kind has other columns.")
    opened = open_source(expand(source), read_options(reading, "classification"))
    samples = opened.test if opened.test is not None else opened.train
    if samples.shape != exam.samples.shape or samples.inputs.dtype != exam.samples.inputs.dtype:
        raise DataError(f"--ood {source} has {_told(samples)}, but the models expect {_told(exam.samples)}.")
    order = by_hash(samples.ids, exam.request.seed)[: exam.request.samples]
    return {**found, public_source(source): take(samples, np.sort(order))}


def _told(samples: Samples) -> str:
    return f"{'pictures of 8 bits' if are_pictures(samples) else 'numbers'} of shape {list(samples.shape)}"
