"""Whether samples that are made from the teacher can come to anything: what they listen to, how many, and a trial."""

from __future__ import annotations

import tempfile
from pathlib import Path

from limbeck.errors import TrainingError
from limbeck.models.adapt import Adapted
from limbeck.preflight.finding import Finding
from limbeck.preflight.subject import Subject
from limbeck.recipe.generated import GeneratedSection
from limbeck.run.generated import Work
from limbeck.synthesis.presets import NEED_A_MODEL, PRESETS
from limbeck.synthesis.statistics import known_moments
from limbeck.synthesis.synthesise import Course, synthesise

FEW = 20  # samples of a class
TRIED = 64  # samples of a batch of the trial
TRIAL = 4  # rounds
NAME = "generated"


def check_generated(subject: Subject) -> list[Finding]:
    """Warnings named `generated` where samples have little to go by, or a trial with a finished teacher collapses.

    A note says what was found otherwise. Nothing where no samples are made.
    """
    section, teacher = subject.plan.generated, subject.teacher
    if section is None:
        return []
    found = _few(section, len(subject.plan.data.classes))
    if teacher is None or section.preset not in NEED_A_MODEL:
        return found
    found += _without_moments(section, teacher)
    return found + (_trial(subject, section, teacher) if subject.taught else [_untried(section)])


def _few(section: GeneratedSection, classes: int) -> list[Finding]:
    if section.pool >= FEW * classes:
        return []
    return [
        Finding(
            "warning",
            NAME,
            f"data.generated.pool keeps {section.pool:,} samples, {section.pool / classes:.1f} of each of {classes} "
            f"classes; a student needs some hundreds. Raise it.",
        )
    ]


def _without_moments(section: GeneratedSection, teacher: Adapted) -> list[Finding]:
    wanted = PRESETS[section.preset].weights.changed(section.weights).batch_norm
    if not wanted or section.statistics == "recorded" or (section.statistics == "teacher" and known_moments(teacher)):
        return []
    why = "the teacher has no batch norm" if section.statistics == "teacher" else "statistics: none was said"
    return [
        Finding(
            "warning",
            NAME,
            f"The preset {section.preset} is led by what the teacher's batch norms saw in training, but {why}, so "
            f"samples need not look like anything. Take dafl, or statistics: recorded with the teacher's own data.",
        )
    ]


def _trial(subject: Subject, section: GeneratedSection, teacher: Adapted) -> list[Finding]:
    """Make a few small batches with a teacher that is finished, and say what it sees in them."""
    small = section.model_copy(update={"batch": min(section.batch, TRIED), "pool": TRIAL * TRIED})
    work = Work.of(subject.plan, small, teacher, subject.device)
    course = Course(TRIAL, None, 0, section.seed)
    with tempfile.TemporaryDirectory() as folder:
        try:
            progress = synthesise(work.maker, work.guide, work.pool, course, Path(folder))
        except TrainingError as error:
            return [Finding("warning", NAME, f"In a trial of {TRIAL} small batches: {error}")]
    last = progress.gauges[-1]
    return [
        Finding(
            "note",
            NAME,
            f"In a trial of {TRIAL} small batches ({section.preset}) the teacher saw {last['classes']} of "
            f"{len(subject.plan.data.classes)} classes, values varied {last['diversity']:.0%} as much as real ones.",
        )
    ]


def _untried(section: GeneratedSection) -> Finding:
    told = (
        f"Samples by {section.preset} are tried when the teacher is trained; the run stops early where they collapse."
    )
    return Finding("note", NAME, told)
