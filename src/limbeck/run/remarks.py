"""What a reader should know before believing a verdict, in sentences beside it."""

from __future__ import annotations

from collections.abc import Mapping

from limbeck.run.answers import Floats
from limbeck.run.chains import BySeed
from limbeck.run.own_teacher import hears_the_teacher
from limbeck.run.plan import Plan
from limbeck.run.stage_plan import StagePlan
from limbeck.run.task import Task
from limbeck.teachers.seen import count_seen
from limbeck.types import known

FEW_STEPS = 100


def short_training(plan: Plan, stage: StagePlan, fits: BySeed) -> list[str]:
    """Say that a stage was short."""
    steps = max(one.progress.step for one in fits.values())
    if steps >= FEW_STEPS or plan.student.grown:
        return []
    return [
        f"Stage {stage.name} took only {steps} optimizer steps of {stage.settings.batch_size} samples: more epochs or "
        f"a smaller batch_size may change the picture."
    ]


def chosen_without_labels(stage: StagePlan) -> list[str]:
    """Say that epochs were chosen by samples of the target."""
    how = {
        "entropy": "how certain they are about samples of the target",
        "neighbourhood": "how dense the groups of their answers for samples of the target are",
        "weighted": "validation samples of the source, each weighed by how likely it is in the target",
    }
    select = stage.settings.select
    return [f"The epoch of student and controls was chosen by {how[select]}."] if select in how else []


def whose_labels(plan: Plan, stage: StagePlan) -> list[str]:
    """Say that the run's teacher has seen more labels than the student, where it had a part in what that learned."""
    if plan.generated is not None:
        theirs = _labels_of_the_teacher(plan, -1)
        told = f"{theirs:,} labelled" if theirs is not None else "unknown"
        return [f"Student and controls share one teacher, which was trained on {told} real samples."]
    if (plan.teacher is None and plan.black_box is None) or not hears_the_teacher(plan, stage):
        return []
    labels = plan.visible_labels(plan.seeds[0])
    mine = int(known(labels).sum())
    theirs = _labels_of_the_teacher(plan, mine)
    if theirs is None:
        return [
            "The teacher was trained elsewhere, on labels that this run knows nothing of; test samples may be "
            "among them."
        ]
    if theirs <= mine:
        return []
    return [
        f"The teacher has seen {theirs:,} labels, the student and its controls {mine:,} (validation included): part of "
        f"the gain is access to those labels."
    ]


def same_start(plan: Plan) -> list[str]:
    """Say that all seeds start from the same weights."""
    if plan.student.fresh:
        return []
    return [
        "Every seed starts from the same given weights, but for a head for other classes; only order, dropout and "
        "drawn labels vary."
    ]


def on_the_teacher(
    task: Task, stage: StagePlan, teacher: Floats | None, own: Floats | None, controls: Mapping[str, Floats]
) -> list[str]:
    """Say how good the stage's own teacher is, or that the run's is no better than a control without it.

    teacher, own, controls: their merits, see `Task`.
    """
    best = max(float(merits.mean()) for merits in controls.values())
    best_told = task.told(best).removesuffix(" right")
    if own is not None:
        return [
            f"The teacher here is the student of stage {stage.teacher}, {task.told(float(own.mean()))}; the best "
            f"control without a teacher, {best_told}."
        ]
    if teacher is None or (mean := float(teacher.mean())) > best:
        return []
    return [
        f"The teacher ({task.told(mean)}) is no better than a control without it ({best_told}): check its weights, "
        f"normalisation and class order before you judge the method."
    ]


def on_the_peer(fits: BySeed) -> list[str]:
    """Say how good the peer became that learned beside the student, on validation samples, and the student there."""
    found = [(one.peer_accuracy, one.progress.best_accuracy) for one in fits.values()]
    peers = [100 * peer for peer, _ in found if peer is not None]
    students = [100 * mine for peer, mine in found if peer is not None and mine is not None]
    if not peers or len(students) < len(peers):
        return []
    each = f" ({', '.join(f'{one:.1f}' for one in peers)} by seed)" if len(peers) > 1 else ""
    return [
        f"The peer that learned beside the student gets {sum(peers) / len(peers):.1f} % of the validation samples "
        f"right after its last step{each}, the student as it is kept {sum(students) / len(students):.1f} %."
    ]


def _labels_of_the_teacher(plan: Plan, mine: int) -> int | None:
    """Return how many labels the teacher has seen, None when nobody knows; mine: how many the student has."""
    teacher = plan.teacher
    if teacher is None:
        return plan.black_box.labels_seen if plan.black_box is not None else None
    if teacher.settings is None:
        return count_seen(teacher.model.weights.parent) if teacher.model.weights else None
    return mine if teacher.labels == "same" else int(known((plan.real or plan.data).pool.labels).sum())
