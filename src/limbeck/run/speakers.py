"""The teachers of a run: trained, and as the fits of each seed hear them."""

from __future__ import annotations

from limbeck.run.chains import BySeed
from limbeck.run.fits import Workshop
from limbeck.teachers.base import Teacher


def train_teachers(workshop: Workshop) -> BySeed:
    """Return the teachers of a run by seed: one for all, under the first seed, or one each."""
    plan = workshop.plan
    if plan.teacher is None:
        return {}
    seeds = plan.seeds if plan.teacher.per_seed else plan.seeds[:1]
    return {seed: trained for seed in seeds if (trained := workshop.train_teacher(seed)) is not None}


def speaking(workshop: Workshop, teachers: BySeed) -> dict[int, Teacher | None]:
    """Return the teacher that answers for each seed; one shared by all seeds is asked once."""
    seeds = workshop.plan.seeds
    if len(teachers) == len(seeds):
        return {seed: workshop.teacher(teachers[seed]) for seed in seeds}
    shared = workshop.teacher(next(iter(teachers.values()), None))
    return dict.fromkeys(seeds, shared)
