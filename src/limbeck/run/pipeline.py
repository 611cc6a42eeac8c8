"""The one way through: plan, teacher, student and controls, evaluation, export, report."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from limbeck.export.trace import trace_graph
from limbeck.files import write_bytes, write_text
from limbeck.models.weights import CARD, WEIGHTS
from limbeck.report.html import render_html
from limbeck.report.markdown import render_markdown
from limbeck.run.answers import verdict_json, write_predictions
from limbeck.run.assess import TEACHER, describe_models, describe_stages, drawings, header
from limbeck.run.beside import helping
from limbeck.run.chains import BySeed, Chains, folder_of, steps_by_fit
from limbeck.run.class_groups import describe_earlier, describe_hidden
from limbeck.run.describe_generated import describe_generated, seconds_of_generating
from limbeck.run.domains import describe_domains
from limbeck.run.file_verdicts import Format, judge_files
from limbeck.run.fits import METRICS, STUDENT, Workshop, best_seed, open_workshop
from limbeck.run.folder import REPORT, open_folder, read_state
from limbeck.run.further import plan_of
from limbeck.run.further_verdicts import describe_further
from limbeck.run.generated import generated
from limbeck.run.jobs import FIT, Trained
from limbeck.run.knowledge import check_wishes
from limbeck.run.plan import Plan, Variant
from limbeck.run.profile import Profile, measuring
from limbeck.run.rehearsal import rehearse
from limbeck.run.robustness import robustness_of_plan
from limbeck.run.ship import kind_of, ship
from limbeck.run.speakers import assembled, speaking, train_further, train_teachers
from limbeck.run.starts import note_seen
from limbeck.run.surroundings import environment, peak_memory_mib
from limbeck.run.sweep import (
    Point,
    choose,
    describe_sweep,
    judge_points,
    models_of,
    other_verdicts,
    points_of,
    train_points,
    train_seeds,
    trained_plans,
)
from limbeck.run.together import divide
from limbeck.run.watch import Silent, Watcher
from limbeck.teachers.base import Teacher, check_untouched
from limbeck.teachers.meter import Spent
from limbeck.train import ranks
from limbeck.types import known


def run(
    plan: Plan,
    *,
    out: Path | None = None,
    resume: bool = False,
    force: bool = False,
    device: torch.device | None = None,
    watcher: Watcher | None = None,
    profile: Profile | None = None,
) -> Path:
    """Carry out a plan and return its folder. Raises UserError before anything is written, Failure after.

    out: the folder, else runs/<name>; resume: go on with an unfinished run; force: replace an existing one. Of several
    processes all train and the first alone evaluates and writes; for the others the folder that is returned is gone.
    profile: measures where the time goes, and writes that into the folder.
    """
    device = device or torch.device("cpu")
    ranks.join(device)
    plan = divide(plan)
    watcher = watcher if watcher is not None and ranks.is_first() else Silent()
    check_wishes(plan)
    compared = [line for variant in points_of(plan) for line in rehearse(variant.plan)]
    place = open_folder(plan, out=out, resume=resume, force=force) if ranks.is_first() else ranks.scratch()
    with place as folder, ranks.missing():
        if ranks.agree((folder / REPORT).is_file()):
            return folder
        workshop = open_workshop(plan, folder, watcher, device, profile)
        for line in dict.fromkeys(compared):
            watcher.say(line)
        if resume and (finished := len(list(folder.rglob(FIT)))):
            watcher.say(f"Going on after {finished} finished fit{'s' if finished > 1 else ''}")
        watcher.expect(*expected_steps(plan))
        watcher.say("Training the teacher" if _teacher_steps(plan) else "Preparing the teacher")
        workshop = assembled(workshop)
        plan, teachers = workshop.plan, train_teachers(workshop)
        workshop = replace(workshop, teachers=teachers, further=train_further(workshop))
        workshop = generated(workshop, teachers)
        plan = workshop.plan
        watcher.say("Training the student and its controls")
        heard = speaking(workshop, teachers)
        trained = _train(workshop, heard)
        check_untouched(heard.values())
        if not ranks.is_first():
            return folder
        watcher.say("Asking every model about the test samples")
        evaluated = time.monotonic()
        with measuring(profile, "evaluation"):
            points = judge_points(trained, teachers, workshop.further)
            chosen = choose(points)
            models = describe_models(chosen.plan, chosen.findings)
        seconds = {"evaluation": time.monotonic() - evaluated}
        _publish(folder, chosen, teachers)
        watcher.say("Exporting the student" if plan.onnx else "Writing the report")
        exported = time.monotonic()
        with measuring(profile, "export"):
            export = _export(folder, points, chosen) if plan.onnx else None
        seconds |= {"export": time.monotonic() - exported, **seconds_of_generating(folder)}
        with measuring(profile, "report"):
            robust = robustness_of_plan(chosen.plan, chosen.findings, folder, models, export, watcher.say)
            cost = _cost(points, seconds, workshop)
            report = {**_report(plan, workshop, points, chosen, models, export, cost), "robustness": robust}
            _write(folder, report, points, chosen)
        if profile is not None:
            profile.write(folder)
    return folder


def expected_steps(plan: Plan) -> tuple[int, int]:
    """Return the optimizer steps of the teacher, and of student and controls together."""
    labels = plan.visible_labels(plan.seeds[0])
    train = plan.data.train
    labelled = int(known(labels[train]).sum())
    fits: dict[str, int] = {}
    for one in trained_plans(plan):
        fits |= steps_by_fit(
            one,
            {
                stage.name: stage.settings.total_steps(
                    plan.samples_taught if stage.objective.uses_unlabelled else labelled
                )
                for stage in one.stages
            },
        )
    return _teacher_steps(plan), sum(fits.values())


def _teacher_steps(plan: Plan) -> int:
    """Return the optimizer steps of the teacher, of each seed's or of each one in an ensemble."""
    members = plan.ensemble.members if plan.ensemble is not None else ()
    taught = [one.model for one in members if one.model is not None]
    if plan.teacher is not None:
        taught += [plan.teacher] * (len(plan.seeds) if plan.teacher.per_seed else 1)
    own = [(one, one.settings) for one in taught if one.settings is not None]
    steps = sum(settings.total_steps(len(plan.lesson_of(one, plan.seeds[0])[0])) for one, settings in own)
    return steps + sum(_teacher_steps(plan_of(plan, one)) for one in plan.tasks)


def _train(workshop: Workshop, heard: dict[int, Teacher | None]) -> list[tuple[Variant, Chains]]:
    """Train student and controls, some seeds by helpers; heard: the teacher of each seed."""
    known: dict[str, Trained] = {}
    with helping(workshop, heard) as helpers:
        train_seeds(workshop, heard, helpers.seeds, known)
        helpers.wait()
    return train_points(workshop, heard, known)


def _publish(folder: Path, chosen: Point, teachers: BySeed) -> None:
    """Copy the seed that is best on validation to the role's own folder: student/, controls/labels/, ..."""
    plan = chosen.plan
    places: list[tuple[Path, BySeed]] = [(folder / TEACHER, teachers)] if teachers else []
    for stage in plan.stages:
        places += [
            (folder_of(folder, plan, stage, role), fits) for role, fits in chosen.chains.fits[stage.name].items()
        ]
    for target, fits in places:
        source = fits[best_seed(fits)].folder
        for name in (WEIGHTS, CARD):
            if source != target:
                write_bytes(target / name, (source / name).read_bytes())
    note_seen(folder, plan)


def _export(folder: Path, points: Sequence[Point], chosen: Point) -> dict[str, Any]:
    """Write export/ and return the report's section: the files, and the verdict on them."""
    plan, findings, student = chosen.plan, chosen.findings, chosen.student
    best = student[best_seed(student)]
    ending = plan.task.ending
    trace = trace_graph(best.model, shape=plan.data.shape, kind=kind_of(plan.data), ending=ending)
    section = {**ship(folder, plan, best, findings.teacher, trace), "verdict": None, "measured": []}
    last = plan.stages[-1].name
    verdict = findings.verdicts.get(last)
    if verdict is None:
        return section
    control = findings.fits[findings.stages[last][verdict.against]]
    formats: list[Format] = ["onnx", "int8"] if (section["int8"] or {}).get("file") else ["onnx"]
    found = judge_files(plan, student, control, verdict, other_verdicts(points, chosen), trace, formats)
    if "int8" in found:
        section["int8"]["verdict"] = verdict_json(found["int8"])
    return {**section, "verdict": verdict_json(found["onnx"])}


def _cost(points: Sequence[Point], seconds: dict[str, float], workshop: Workshop) -> dict[str, Any]:
    ledger = workshop.ledger
    by_role: dict[str, float] = {TEACHER: 0.0, STUDENT: 0.0, "controls": 0.0}
    fits = {
        one.folder: (point.findings.roles[key][0], one)
        for point in points
        for key, by_seed in point.findings.fits.items()
        for one in by_seed.values()
    }
    for role, one in fits.values():
        by_role[{"teacher": TEACHER, "control": "controls"}.get(role, STUDENT)] += one.progress.seconds
    singles = {one.folder: one for point in points for fits in point.findings.singles.values() for one in fits.values()}
    by_role["controls"] += sum(one.progress.seconds for one in singles.values())
    box = workshop.plan.black_box
    by_role[TEACHER] += box.seconds if box is not None else 0.0
    by_role[TEACHER] += sum(one.progress.seconds for each in workshop.further.values() for one in each.values())
    spent = by_role | seconds | {"knowledge": ledger.seconds}
    spent["total"] = sum(spent.values())  # of all sessions, where a run was resumed
    return {
        "teacher_forwards": ledger.asked + sum(one.progress.asked for _, one in fits.values() if not one.from_cache),
        "teacher_spot_checks": ledger.spot_checks,
        "teacher_queries": _queries(workshop),
        "knowledge": ledger.sentence,
        "controls_from_cache": sum(one.from_cache for _, one in fits.values()),
        "seconds": {name: round(value, 2) for name, value in spent.items()},
        "peak_memory_mib": peak_memory_mib(),
    }


def _queries(workshop: Workshop) -> dict[str, int | None] | None:
    """Return what a teacher whose every question counts was asked, attempts and test samples too; None for others.

    samples, requests: of this run, in all sessions; ever: samples, in all runs; budget: of samples.
    """
    box = workshop.plan.black_box
    if box is None or box.metered is None:
        return None
    ever = box.metered.meter.spent()
    mine = ever - (Spent(*workshop.ledger.before) if workshop.ledger.before is not None else box.metered.before)
    return {
        "samples": mine.samples, "requests": mine.requests, "ever": ever.samples, "budget": box.metered.meter.budget,
    }  # fmt: skip


def _report(
    plan: Plan,
    workshop: Workshop,
    points: Sequence[Point],
    chosen: Point,
    models: dict[str, Any],
    export: dict[str, Any] | None,
    cost: dict[str, Any],
) -> dict[str, Any]:
    findings = chosen.findings
    return {
        **header(chosen.plan, read_state(workshop.folder)["created"], findings.notes),
        "verdict": verdict_json(findings.verdicts.get(chosen.plan.stages[-1].name)),
        "stages": describe_stages(chosen.plan, findings),
        "models": models,
        **describe_sweep(points, chosen),
        "export": export,
        "cost": cost,
        "environment": environment(workshop.device),
        "recipe": plan.recipe,
        "tasks": describe_further(chosen.plan, findings),
        "domains": describe_domains(chosen.plan, findings),
        "generated": describe_generated(chosen.plan, workshop.folder),
        "hidden_classes": describe_hidden(chosen.plan, findings),
        "earlier_classes": describe_earlier(chosen.plan, findings),
        **drawings(chosen.plan, findings),
    }


def _write(folder: Path, report: dict[str, Any], points: Sequence[Point], chosen: Point) -> None:
    """Write predictions, metrics and pages; report.json comes last and marks the run as finished."""
    records = []
    for name, point, key in models_of(points, chosen):
        path = folder / "predictions" / f"{name.replace('/', '-')}.parquet"
        write_predictions(path, name, point.findings.answers[key], chosen.plan.data)
        fits = point.findings.fits.get(key, {})
        records += [{**record, "model": name} for one in fits.values() for record in one.progress.history]
    write_text(folder / METRICS, "".join(json.dumps(record) + "\n" for record in records))
    text = json.dumps(report, indent=1, allow_nan=False)
    write_pages(folder, json.loads(text))
    write_text(folder / REPORT, text)


def write_pages(folder: Path, report: Mapping[str, Any]) -> None:
    """Render report.html and report.md from the report alone."""
    write_text(folder / "report.html", render_html(report))
    write_text(folder / "report.md", render_markdown(report))
