"""The points of a sweep: trained with what they share, judged together, and the one that validation chooses.

A run without a sweep is one point. Controls and earlier stages that two points have in common are trained once.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from limbeck.recipe.sweep import title_of
from limbeck.run.answers import verdict_json
from limbeck.run.assess import FEW_VALIDATION, Asked, Findings, correct_together, gather
from limbeck.run.chains import BySeed, Chains, train_chains
from limbeck.run.fits import STUDENT, Workshop, validation_accuracy
from limbeck.run.further_verdicts import judge_further
from limbeck.run.jobs import Trained
from limbeck.run.plan import Plan, Variant
from limbeck.run.shared import learner
from limbeck.teachers.base import Teacher

VARIANTS = "variants"
HARD_LABELS = "teacher_labels"


@dataclass(frozen=True, eq=False)
class Point:
    """One trained point and what was found about it."""

    variant: Variant
    chains: Chains
    findings: Findings

    @property
    def plan(self) -> Plan:
        """The plan of this point alone."""
        return self.variant.plan

    @property
    def student(self) -> BySeed:
        """The students of the last stage."""
        return self.findings.fits[STUDENT]


def points_of(plan: Plan) -> tuple[Variant, ...]:
    """Return the points that a plan has; a plan without a sweep is one."""
    return plan.variants or (Variant("", {}, plan),)


def train_seeds(
    workshop: Workshop, teachers: dict[int, Teacher | None], seeds: Sequence[int], known: dict[str, Trained]
) -> None:
    """Train some seeds of every point, but for the control that the chosen point alone has; known: fits are added."""
    variants = points_of(workshop.plan)
    for place, variant in enumerate(variants, 1):
        if len(variants) > 1:
            workshop.watcher.say(f"Variant {place} of {len(variants)}: {title_of(variant.settings)}")
        plan = variant.plan if len(variants) == 1 else _without_hard_labels(variant.plan)
        _train(workshop, variant, plan, teachers, known, seeds)


def train_points(
    workshop: Workshop, teachers: dict[int, Teacher | None], known: dict[str, Trained]
) -> list[tuple[Variant, Chains]]:
    """Train every point of the workshop's plan; teachers: by seed; known: fits that are there already.

    The control that learns the teacher's hard labels is trained for the point that validation chooses alone: it follows
    the weights of the teacher's terms, so it could seldom be shared, and it answers a question about that point.
    """
    variants = points_of(workshop.plan)
    if len(variants) == 1:
        return [(variants[0], _train(workshop, variants[0], variants[0].plan, teachers, known))]
    trained = []
    for variant in variants:
        trained.append((variant, _train(workshop, variant, _without_hard_labels(variant.plan), teachers, known)))
    place = _best([chains.of(variant.plan.stages[-1].name, STUDENT) for variant, chains in trained])
    chosen = variants[place]
    if HARD_LABELS in chosen.plan.controls:
        workshop.watcher.say(f"The teacher's hard labels, for the chosen variant {title_of(chosen.settings)}")
        trained[place] = (chosen, _train(workshop, chosen, chosen.plan, teachers, known))
    return trained


def trained_plans(plan: Plan) -> list[Plan]:
    """Return what `train_points` trains, as far as can be told before: fits that two of them share are trained once."""
    variants = points_of(plan)
    return [*(_without_hard_labels(one.plan) for one in variants if len(variants) > 1), variants[0].plan]


def _train(
    workshop: Workshop,
    variant: Variant,
    plan: Plan,
    teachers: dict[int, Teacher | None],
    known: dict[str, Trained],
    seeds: Sequence[int] | None = None,
) -> Chains:
    folder = workshop.folder / VARIANTS / variant.name if variant.name else workshop.folder
    return train_chains(replace(workshop, plan=plan, folder=folder), teachers, known, seeds)


def _without_hard_labels(plan: Plan) -> Plan:
    return replace(plan, controls=tuple(name for name in plan.controls if name != HARD_LABELS))


def _best(students: Sequence[BySeed]) -> int:
    """Return the place of the students that did best on validation; the first of equals."""
    return int(np.argmax([validation_accuracy(one) for one in students]))


def judge_points(
    trained: Sequence[tuple[Variant, Chains]], teachers: BySeed, further: Mapping[str, BySeed]
) -> list[Point]:
    """Ask every model about the test samples, once, and judge all points together.

    teachers: those trained; further: those of further tasks, by task.
    """
    asked = Asked()
    found = [gather(variant.plan, teachers, chains, asked) for variant, chains in trained]
    for (variant, _), one in zip(trained, found, strict=True):
        judge_further(variant.plan, one, further)
    correct_together(found)
    return [Point(variant, chains, one) for (variant, chains), one in zip(trained, found, strict=True)]


def choose(points: Sequence[Point]) -> Point:
    """Return the point whose students did best on validation; the first of equals."""
    best = points[_best([point.student for point in points])]
    if len(points) > 1:
        _note_the_choice(best, len(points))
    return best


def other_verdicts(points: Sequence[Point], chosen: Point) -> list[Any]:
    """Return the uncorrected verdicts of all stages of all points but the chosen one's last stage."""
    last = chosen.plan.stages[-1].name
    stages = [
        verdict
        for point in points
        for stage, verdict in point.findings.alone.items()
        if not (point is chosen and stage == last)
    ]
    return [*stages, *(one.alone for point in points for one in point.findings.further.values() if one.alone)]


def models_of(points: Sequence[Point], chosen: Point) -> Iterator[tuple[str, Point, str]]:
    """Yield every model of all points once, the chosen point's first: its name in files, its point, its key there."""
    seen: set[tuple[Path, ...]] = set()
    for point in sorted(points, key=lambda one: one is not chosen):
        for key in point.findings.answers:
            fits = point.findings.fits.get(key, {})
            folders = tuple(one.folder for one in fits.values()) or (Path(key),)  # black boxes have none
            if folders not in seen:
                yield (key if point is chosen else f"{VARIANTS}/{point.variant.name}/{key}"), point, key
            seen.add(folders)


def describe_sweep(points: Sequence[Point], chosen: Point) -> dict[str, Any]:
    """Return the report's `sweep` and `variants`; None and [] where nothing was swept."""
    if len(points) < 2 and not chosen.variant.name:
        return {"sweep": None, "variants": []}
    return {
        "sweep": {
            "keys": list(chosen.variant.settings),
            "chosen": chosen.variant.name,
            "chosen_by": f"mean validation {_validated_by(chosen.plan)} over the seeds",
        },
        "variants": [_describe(point, point is chosen) for point in points],
    }


def _describe(point: Point, chosen: bool) -> dict[str, Any]:
    plan, findings = point.plan, point.findings
    last = plan.stages[-1].name
    verdict = findings.verdicts.get(last)
    answers = {role: findings.answers[key] for role, key in findings.stages[last].items()}
    metrics = {role: plan.task.metrics(one, findings.teacher, plan.evaluate) for role, one in answers.items()}
    return {
        "name": point.variant.name,
        "settings": point.variant.settings,
        "title": title_of(point.variant.settings),
        "folder": f"{VARIANTS}/{point.variant.name}",
        "chosen": chosen,
        "validation_accuracy": validation_accuracy(point.student),
        "architecture": learner(plan, plan.stages[-1]).title,
        "metrics": metrics[STUDENT],
        "controls": {role: one[plan.task.primary] for role, one in metrics.items() if role != STUDENT},
        "verdict": verdict_json(verdict),
    }


def _validated_by(plan: Plan) -> str:
    return "accuracy" if plan.task.score is None else plan.task.score.name


def _note_the_choice(chosen: Point, count: int) -> None:
    """Say in the chosen point's verdict how it was chosen."""
    last = chosen.plan.stages[-1].name
    verdict = chosen.findings.verdicts.get(last)
    if verdict is None:
        return
    labels = min(one.validation_samples for one in chosen.student.values())
    few = f" (of only {labels} labels, so another one may be as good)" if labels < FEW_VALIDATION else ""
    note = (
        f"This is the variant {title_of(chosen.variant.settings)}, chosen among {count} by validation "
        f"{_validated_by(chosen.plan)}{few}; "
        f"the p-values of all their verdicts are corrected for their number (Holm)."
    )
    chosen.findings.verdicts[last] = dataclasses.replace(verdict, notes=(*verdict.notes, note))
