"""The student and its controls through all stages, for all seeds.

A control whose chain of stages is equal to one that was trained already (two branches of `stages` that start
alike) is not trained twice: both point to the same fits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from limbeck.run.fits import STUDENT, Workshop, objective_of
from limbeck.run.jobs import Trained
from limbeck.run.memory import unheld
from limbeck.run.own_teacher import OwnTeachers
from limbeck.run.plan import Plan
from limbeck.run.stage_plan import StagePlan
from limbeck.teachers.base import Teacher

BySeed = dict[int, Trained]


@dataclass(eq=False)
class Chains:
    """Every finished fit: chains[stage][role][seed]; role is "student" or a control's name."""

    fits: dict[str, dict[str, BySeed]] = field(default_factory=dict)

    def of(self, stage: str, role: str) -> BySeed:
        """Return the fits of a role in a stage, by seed."""
        return self.fits[stage][role]


def train_chains(
    workshop: Workshop,
    teachers: dict[int, Teacher | None],
    known: dict[str, Trained] | None = None,
    seeds: Sequence[int] | None = None,
) -> Chains:
    """Train student and controls through every stage of the plan; teachers: by seed.

    known: the fits of the sweep so far, by what decides them; new ones are added. seeds: some of the plan's, all unless
    given. A stage with a teacher of its own, and its control on hard labels, hear the student of that stage.
    """
    plan, chains, own = workshop.plan, Chains(), OwnTeachers(workshop)
    known = {} if known is None else known
    keys: dict[tuple[str, str, int], str] = {}
    for stage in plan.stages:
        roles = chains.fits.setdefault(stage.name, {})
        for seed in plan.seeds if seeds is None else seeds:
            for role in (STUDENT, *plan.controls):
                student = None if role == STUDENT else roles[STUDENT][seed]
                labeller = roles["labels"][seed] if role == "self_training" else None
                steps = None if student is None else student.progress.step
                key = keys[stage.name, role, seed] = _key(plan, stage, role, seed, steps, keys)
                if key not in known:
                    taught_by = None if stage.teacher is None else chains.of(stage.teacher, STUDENT)[seed]
                    known[key] = workshop.train_stage(
                        stage, role, seed,
                        before=None if stage.start == "scratch" else chains.of(stage.start, role)[seed],
                        teacher=teachers[seed] if taught_by is None else own.of(stage, taught_by),
                        student=student, labeller=labeller,
                        folder=folder_of(workshop.folder, plan, stage, role) / "seeds" / str(seed),
                    )  # fmt: skip
                roles.setdefault(role, {})[seed] = known[key]
    own.check()
    return chains


def folder_of(folder: Path, plan: Plan, stage: StagePlan, role: str) -> Path:
    """Return where a role's models are: the last stage's at the top, earlier ones under stages/<name>."""
    inner = Path(STUDENT) if role == STUDENT else Path("controls") / role
    return folder / inner if stage is plan.stages[-1] else folder / "stages" / stage.name / inner


def steps_by_fit(plan: Plan, per_stage: dict[str, int]) -> dict[str, int]:
    """Return the optimizer steps of every fit of student and controls; per_stage: of one fit of each stage.

    A fit is named by what decides it, so that those which plans share can be told.
    """
    keys: dict[tuple[str, str, int], str] = {}
    steps: dict[str, int] = {}
    for stage in plan.stages:
        for seed in plan.seeds:
            for role in (STUDENT, *plan.controls):
                key = keys[stage.name, role, seed] = _key(plan, stage, role, seed, None, keys)
                steps[key] = per_stage[stage.name]
    return steps


def _key(
    plan: Plan, stage: StagePlan, role: str, seed: int, steps: int | None, earlier: dict[tuple[str, str, int], str]
) -> str:
    """Return what decides the result of a fit, apart from what all fits of a run or a sweep share.

    steps: those of the student, which a control follows; earlier: the keys of the stages before.
    """
    objective = objective_of(stage, role, plan.task.label, unheld(plan))
    own = f"{role}|{seed}|{stage.settings}|{objective.describe()}|{stage.objective.uses_unlabelled}"
    own += f"|{stage.freeze}|{stage.lora}|{(stage.student or plan.student).described()}"
    if stage.teacher is not None and objective.needs:
        taught_by = earlier[stage.teacher, STUDENT, seed]
        own += f"|taught by {hashlib.sha256(taught_by.encode()).hexdigest()}"
    if stage.settings.patience is not None and steps is not None:
        own += f"|{steps}"
    if role == STUDENT:
        own += f"|{stage.name}"
    return own if stage.start == "scratch" else f"{earlier[stage.start, role, seed]} > {own}"
