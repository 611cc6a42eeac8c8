"""All checks in one place, and the one function that carries them out."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch

from limbeck.errors import UserError
from limbeck.preflight.accuracy import check_accuracy, check_labels
from limbeck.preflight.class_order import check_class_order
from limbeck.preflight.cost import estimate_cost
from limbeck.preflight.data import check_classes, check_inputs, check_splits, list_notes
from limbeck.preflight.duplicates import check_duplicates, check_near_duplicates
from limbeck.preflight.eval_mode import check_eval_mode
from limbeck.preflight.finding import Finding
from limbeck.preflight.generated import check_generated
from limbeck.preflight.gradients import check_gradients, check_objective, check_student_varies
from limbeck.preflight.layers import check_layers
from limbeck.preflight.learning import judge, trials
from limbeck.preflight.lora import check_lora
from limbeck.preflight.models import build, check_capacity, check_start, check_start_unseen, check_weights, not_finite
from limbeck.preflight.normalisation import check_normalisation
from limbeck.preflight.questions import count_questions
from limbeck.preflight.subject import Subject
from limbeck.preflight.values import check_quality, check_values
from limbeck.run.plan import Plan

Check = Callable[[Subject], list[Finding]]

OF_DATA: tuple[Check, ...] = (
    list_notes,
    check_splits,
    check_classes,
    check_inputs,
    check_duplicates,
    check_near_duplicates,
    check_labels,
)
OF_VALUES: tuple[Check, ...] = (
    list_notes,
    check_splits,
    check_values,
    check_inputs,
    check_duplicates,
    check_near_duplicates,
)
OF_MODELS: tuple[Check, ...] = (
    check_weights,
    check_start,
    check_start_unseen,
    check_capacity,
    check_objective,
    count_questions,
    check_generated,
)
OF_A_FINISHED_TEACHER: tuple[Check, ...] = (
    check_accuracy,
    check_class_order,
    check_normalisation,
    check_eval_mode,
)


def check_learning(subject: Subject) -> list[Finding]:
    """Make the trial steps, judge them, and estimate from them what the run will take."""
    found = trials(subject)
    return judge(subject, found) + estimate_cost(subject, found)


OF_A_STUDENT: tuple[Check, ...] = (check_student_varies, check_layers, check_lora, check_gradients, check_learning)
OF_TREES: tuple[Check, ...] = (check_learning,)  # of their teacher; until they are grown they say nothing

SEVERITY = ("fault", "warning", "note")


def preflight(plan: Plan, device: torch.device | None = None) -> list[Finding]:
    """Check a plan by measuring, and return what was found, the worst first.

    Nothing is written and nothing of the plan is changed; labels of test samples are not read. device: where the
    run will train, the CPU for None.
    """
    with torch.random.fork_rng():
        student, findings = build(plan, plan.student, "student")
        teacher = None
        if plan.teacher is not None:
            teacher, more = build(plan, plan.teacher.model, "teacher")
            findings += more
        subject = Subject(plan, device or torch.device("cpu"), student, teacher)
        findings += [finding for check in checks_for(subject) for finding in _carry_out(check, subject)]
    return sorted(findings, key=lambda finding: SEVERITY.index(finding.level))


def checks_for(subject: Subject) -> Iterable[Check]:
    """Yield the checks that make sense: those of models that run and are finite, and of a teacher that is trained."""
    is_of_classes = subject.plan.data.task == "classification"
    yield from OF_DATA if is_of_classes else OF_VALUES
    yield from OF_MODELS
    if subject.teacher is not None and not_finite(subject.teacher.net):
        return
    if subject.taught:
        yield from OF_A_FINISHED_TEACHER if is_of_classes else (check_quality, check_eval_mode)
    stages = () if subject.plan.teaches_within else subject.plan.stages
    main = [stage.objective.of_task() for stage in stages if stage.teacher is None]
    needed = any(one is not None and one.needs for one in main)
    if (
        subject.student is not None
        and not not_finite(subject.student.net)
        and (subject.teacher or subject.plan.black_box or not needed)
    ):
        yield from OF_TREES if subject.plan.student.grown else OF_A_STUDENT


def _carry_out(check: Check, subject: Subject) -> list[Finding]:
    """Carry out a check; a mistake that it meets is a fault with the check's own name."""
    try:
        return check(subject)
    except UserError as error:
        return [Finding("fault", check.__name__.removeprefix("check_"), str(error))]
