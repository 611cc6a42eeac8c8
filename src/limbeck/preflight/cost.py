"""What the run will take: time, memory and disk, measured on this machine and compared with what is free."""

from __future__ import annotations

import shutil
from pathlib import Path

import psutil  # type: ignore[import-untyped]
from torch import nn

from limbeck.preflight.finding import Finding
from limbeck.preflight.learning import Trial
from limbeck.preflight.subject import Subject
from limbeck.run.folder import RUNS
from limbeck.run.pipeline import expected_steps
from limbeck.run.surroundings import peak_memory_mib

MIB = 2**20
COPIES_IN_TRAINING = 5  # weights, gradients, two moments, the best weights so far
BYTES_PER_PREDICTION = 64


def estimate_cost(subject: Subject, found: dict[str, Trial]) -> list[Finding]:
    """Notes named `time`, `memory` and `disk`; a fault for memory or disk where more is needed than is free.

    Time: seconds of a trial step times the planned steps of teacher, student and controls over all seeds, and the
    teacher's answers: for every step of the student where views are fresh, else once for every sample and view.
    Evaluation, export and report come on top. Memory: the peak of this process in the trial steps, five copies of
    either model, and the teacher's remembered answers. Disk: the weights of every seed, stage and control, the
    checkpoint of one fit, and the predictions.
    """
    return [_time(subject, found), _memory(subject), _disk(subject)]


def _time(subject: Subject, found: dict[str, Trial]) -> Finding:
    teacher_steps, student_steps = expected_steps(subject.plan)
    if subject.plan.student.grown:
        student_steps = 0
    stages = [trial.seconds for where, trial in found.items() if where != "teacher"]
    each = sum(stages) / len(stages) if stages else 0.0
    own = found["teacher"].seconds if "teacher" in found else 0.0
    asking = max((trial.asking for trial in found.values()), default=0.0) * _asked_batches(subject, student_steps)
    total = teacher_steps * own + student_steps * each + asking
    parts = [f"{teacher_steps:,} steps of {own * 1000:.1f} ms for the teacher"] if teacher_steps else []
    if subject.plan.student.grown:
        parts.append("and growing the trees of student and controls, which was not tried")
    else:
        parts.append(f"{student_steps:,} steps of {each * 1000:.1f} ms for student and controls")
    return Finding("note", "time", f"Training takes about {duration(total)} on {subject.device}: {', '.join(parts)}.")


def _asked_batches(subject: Subject, student_steps: int) -> float:
    """Return how many batches the teacher answers for while the student is trained."""
    plan = subject.plan
    if plan.teacher is None:
        return 0
    if plan.views is not None and plan.views.count == "fresh":
        return student_steps / (1 + len(plan.controls))
    views = 1 if plan.views is None else int(plan.views.count)
    return views * len(plan.data.pool) / plan.stages[0].settings.batch_size


def _memory(subject: Subject) -> Finding:
    plan, process = subject.plan, psutil.Process()
    views = plan.views.count if plan.views is not None and plan.views.count != "fresh" else 1
    answers = views * len(plan.data.pool) * len(plan.data.classes) * 4 if plan.teacher is not None else 0
    models = sum(_bytes(model) for model in (subject.teacher, subject.student)) * COPIES_IN_TRAINING
    need = peak_memory_mib() * MIB + models + answers
    free = psutil.virtual_memory().available + process.memory_info().rss
    return _compare("memory", "Memory", need, free, "use a smaller batch or picture size")


def _disk(subject: Subject) -> Finding:
    plan = subject.plan
    fits = len(plan.seeds) * len(plan.stages) * (1 + len(plan.controls))
    teachers = 0 if plan.teacher is None else len(plan.seeds) if plan.teacher.per_seed else 1
    published = (2 + len(plan.controls), 1)
    student, teacher = _bytes(subject.student), _bytes(subject.teacher)
    need = student * (fits + published[0] + COPIES_IN_TRAINING) + teacher * (
        teachers + published[1] + COPIES_IN_TRAINING
    )
    models = len(plan.seeds) * (1 + len(plan.controls)) + teachers
    need += models * len(plan.data.test) * (BYTES_PER_PREDICTION + 4 * len(plan.data.classes))
    place = RUNS if RUNS.is_dir() else Path()
    return _compare("disk", "Disk", need, shutil.disk_usage(place).free, "make room, or run fewer seeds")


def _compare(name: str, title: str, need: int, free: int, cure: str) -> Finding:
    sentence = f"{title}: about {max(need // MIB, 1):,} MiB needed, {free // MIB:,} MiB free"
    return Finding("fault", name, f"{sentence}; {cure}.") if need > free else Finding("note", name, f"{sentence}.")


def _bytes(model: nn.Module | None) -> int:
    return 0 if model is None else sum(value.nbytes for value in model.state_dict().values())


def duration(seconds: float) -> str:
    """Return a length of time in words people use: 40 s, 12 min, 3.5 h."""
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
