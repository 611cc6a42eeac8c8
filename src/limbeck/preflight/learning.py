"""Does the loss start finite, and do the settings bring it down? A few steps on copies; nothing of them is kept."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import torch

from limbeck.models.work import multiply_adds
from limbeck.preflight.finding import Finding
from limbeck.preflight.lesson import Rehearsal, sentences_for, student_rehearsal, teacher_rehearsal
from limbeck.preflight.subject import Subject
from limbeck.train.settings import Settings, build_optimizer, learning_rate
from limbeck.train.threads import SMALL_STEP, fitting_threads
from limbeck.types import Batch, Knowledge

STEPS = 30
LEAST = 3
SECONDS = 10.0
WORSE, LEAPT = 0.5, 10
STILL = 0.02


@dataclass(frozen=True)
class Trial:
    """What a few steps gave.

    before, after: the loss of the first batch, nan once it is not finite; highest: loss of a step; seconds: a step
    took without its teacher (median); asking: what the teacher took for the batch; threads: of the processor in use.
    """

    before: float
    after: float
    highest: float
    steps: int
    seconds: float
    asking: float
    threads: int


def try_steps(rehearsal: Rehearsal, total: int) -> Trial:
    """Train for 30 steps (fewer after 10 s) that run through the whole schedule of `total` steps.

    The learning rate of step i is that of step i * total / 30 of the plan: warm-up, peak and decay are all met.
    """
    steps = min(STEPS, total)
    first, times, asking, losses = rehearsal.batch(0), list[float](), list[float](), list[float]()
    with sentences_for("student"):
        work = multiply_adds(rehearsal.model, first.inputs) * rehearsal.settings.batch_size
        device = first.inputs.device
        with fitting_threads(work if rehearsal.recalls else SMALL_STEP, device) as threads:
            optimizer = build_optimizer(rehearsal.settings, rehearsal.model, rehearsal.objective.parameters())
            with torch.no_grad():
                before = float(rehearsal.loss(first, rehearsal.knowledge(first)))
            for step in range(steps):
                batch, started = rehearsal.batch(step), time.monotonic()
                knowledge, asked = rehearsal.knowledge(batch), time.monotonic()
                rate = learning_rate(rehearsal.settings, step * total // steps, total)
                losses.append(_step(rehearsal, optimizer, batch, knowledge, rate))
                times.append(time.monotonic() - asked)
                asking.append(asked - started)
                if not math.isfinite(losses[-1]) or (sum(times) + sum(asking) > SECONDS and len(times) >= LEAST):
                    break
            with torch.no_grad():
                after = (
                    float(rehearsal.loss(first, rehearsal.knowledge(first))) if math.isfinite(losses[-1]) else math.nan
                )
    middle = len(times) // 2
    return Trial(before, after, max(losses), len(times), sorted(times)[middle], sorted(asking)[middle], threads)


def _step(
    rehearsal: Rehearsal, optimizer: torch.optim.Optimizer, batch: Batch, knowledge: Knowledge, rate: float
) -> float:
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.zero_grad(set_to_none=True)
    loss = rehearsal.loss(batch, knowledge)
    if loss.requires_grad:
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return float(loss.detach())


def trials(subject: Subject) -> dict[str, Trial]:
    """Return the trials of the teacher's training ("teacher") and of every stage (its name)."""
    assert subject.student is not None
    found = {}
    if (rehearsal := teacher_rehearsal(subject)) is not None:
        found["teacher"] = try_steps(rehearsal, rehearsal.settings.total_steps(len(rehearsal.lesson.rows)))
    if any(parameter.requires_grad for parameter in subject.student.net.parameters()):
        for stage in subject.plan.stages:
            rehearsal = student_rehearsal(subject, stage)
            found[f"stage {stage.name}"] = try_steps(rehearsal, stage.settings.total_steps(len(rehearsal.lesson.rows)))
    return found


def judge(subject: Subject, found: dict[str, Trial]) -> list[Finding]:
    """Judge trials, named `loss` (not finite at the start) and `learning_rate`.

    Faults: a loss that is not finite. Warnings: 30 steps through the schedule leave the loss of the first batch half
    as high again as before, or above half of it after ten times as much on the way; or they move it so little
    that the planned steps would change it by less than 2 % (only for new weights). Otherwise a note with both losses.
    """
    return [_judge_one(subject, where, trial) for where, trial in found.items()]


def _judge_one(subject: Subject, where: str, trial: Trial) -> Finding:
    settings = _settings(subject, where)
    rate = f"the learning rate (now {settings.lr:g})"
    if not math.isfinite(trial.before):
        return Finding("fault", "loss", f"The first loss of {where} is not finite; look at its weights and its data.")
    told = f"{trial.steps} trial steps of {where} take the loss of the first batch from {trial.before:.3g} to"
    if not math.isfinite(trial.after):
        return Finding("fault", "learning_rate", f"{told} a value that is not finite; lower {rate}.")
    told = f"{told} {trial.after:.3g}"
    leapt = trial.after > abs(trial.before) / 2 and trial.highest > LEAPT * abs(trial.before)
    if leapt or trial.after - trial.before > WORSE * abs(trial.before):
        return Finding("warning", "learning_rate", f"{told}, by way of {trial.highest:.3g}; lower {rate}.")
    fresh = subject.plan.student.fresh or where == "teacher"
    total = settings.total_steps(len(subject.plan.data.train))
    change = abs(trial.after - trial.before) * max(total / trial.steps, 1.0)
    if fresh and trial.steps >= STEPS // 2 and change < STILL * abs(trial.before):
        return Finding("warning", "learning_rate", f"{told}, hardly a change; raise {rate}.")
    return Finding("note", "learning_rate", f"{told}.")


def _settings(subject: Subject, where: str) -> Settings:
    plan = subject.plan
    if where == "teacher" and plan.teacher is not None and plan.teacher.settings is not None:
        return plan.teacher.settings
    return next(stage.settings for stage in plan.stages if where == f"stage {stage.name}")
