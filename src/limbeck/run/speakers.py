"""The teachers of a run: trained, and as the fits of each seed hear them."""

from __future__ import annotations

from dataclasses import replace

from limbeck.run.chains import BySeed
from limbeck.run.ensemble import Member, Ready, box_of, with_box
from limbeck.run.fits import Workshop
from limbeck.run.further import FOLDER, FurtherPlan, plan_of, taught
from limbeck.teachers.base import Teacher
from limbeck.teachers.several import SeveralTeachers
from limbeck.types import known


def train_teachers(workshop: Workshop) -> BySeed:
    """Return the teachers of a run by seed: one for all, under the first seed, or one each."""
    plan = workshop.plan
    if plan.teacher is None:
        return {}
    seeds = plan.seeds if plan.teacher.per_seed else plan.seeds[:1]
    return {seed: trained for seed in seeds if (trained := workshop.train_teacher(seed)) is not None}


def train_further(workshop: Workshop) -> dict[str, BySeed]:
    """Return the teachers of further tasks, by the task's name and by seed as `train_teachers` does."""
    return {one.task.name: train_teachers(_bench(workshop, one)) for one in taught(workshop.plan)}


def _bench(workshop: Workshop, further: FurtherPlan) -> Workshop:
    """Return the workshop as a further task's teacher has it, with a folder of its own."""
    folder = workshop.folder / FOLDER / further.task.name
    return replace(workshop, plan=plan_of(workshop.plan, further), folder=folder, teachers={}, further={})


def assembled(workshop: Workshop) -> Workshop:
    """Return the workshop with the teachers of its ensemble trained; the workshop itself where there is none."""
    ensemble = workshop.plan.ensemble
    if ensemble is None:
        return workshop
    ready = {one.name: _ready(workshop, one) for one in ensemble.members if one.model is not None}
    return replace(workshop, plan=with_box(workshop.plan, box_of(ensemble, workshop.plan.data, ready)))


def _ready(workshop: Workshop, member: Member) -> Ready:
    trained, labels = workshop.train_member(member), workshop.plan.data.pool.labels
    taken = member.model is None or member.model.settings is None
    return Ready(trained.model, None if taken else int(known(labels).sum()), trained.progress.seconds)


def speaking(workshop: Workshop, teachers: BySeed) -> dict[int, Teacher | None]:
    """Return the teacher that answers for each seed; one shared by all seeds is asked once.

    Where further tasks have teachers, it is all of them, and those are in `workshop.further`.
    """
    first = _heard(workshop, teachers)
    further = {
        one.task.name: _heard(_bench(workshop, one), workshop.further[one.task.name]) for one in taught(workshop.plan)
    }
    if not further:
        return first
    return {
        seed: SeveralTeachers(first[seed], {name: one for name, each in further.items() if (one := each[seed])})
        for seed in workshop.plan.seeds
    }


def _heard(workshop: Workshop, teachers: BySeed) -> dict[int, Teacher | None]:
    seeds = workshop.plan.seeds
    if len(teachers) == len(seeds):
        return {seed: workshop.teacher(teachers[seed]) for seed in seeds}
    shared = workshop.teacher(next(iter(teachers.values()), None))
    return dict.fromkeys(seeds, shared)
