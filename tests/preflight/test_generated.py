"""What `limbeck check` says of generated samples before they are made."""

from __future__ import annotations

from pathlib import Path

import pytest

from limbeck.preflight.finding import Finding
from limbeck.preflight.generated import check_generated
from limbeck.preflight.subject import Subject
from limbeck.recipe.load import parse_recipe
from limbeck.run.fits import open_workshop
from limbeck.run.plan import Plan, plan_from_recipe
from limbeck.run.watch import Silent

RECIPE = """\
name: check
seeds: 1
data: {{source: digits{made}}}
teacher: {teacher}
student: {{model: mlp}}
objective: [soft_labels]
"""
NEW = "{model: {cnn: {width: 4, depth: 1}}, train: {steps: 150, batch_size: 64, lr: 0.01}}"


def plan_of(made: str, teacher: str = NEW) -> Plan:
    return plan_from_recipe(parse_recipe(RECIPE.format(made=made and f", generated: {{{made}}}", teacher=teacher)))


def found(plan: Plan) -> list[Finding]:
    import torch

    teacher = plan.model(plan.teacher.model, 0) if plan.teacher else None
    return check_generated(Subject(plan, torch.device("cpu"), plan.model(plan.student, 0), teacher))


def test_nothing_is_said_where_no_samples_are_made() -> None:
    assert found(plan_of("")) == []


def test_a_teacher_that_is_trained_in_the_run_is_tried_then() -> None:
    assert [
        (one.level, "tried when the teacher is trained" in one.sentence) for one in found(plan_of("pool: 500"))
    ] == [("note", True)]


def test_a_small_pool_and_a_teacher_without_batch_norm_are_warned_of() -> None:
    told = found(plan_of("pool: 150, batch: 50", "{model: {mlp: {hidden: [16]}}}"))
    assert [one.level for one in told] == ["warning", "warning", "note"]
    assert "150 samples, 15.0 of each of 10 classes" in told[0].sentence
    assert "the teacher has no batch norm" in told[1].sentence and "Take dafl" in told[1].sentence
    for made in ("preset: dafl", "statistics: recorded", "weights: {batch_norm: 0}"):
        assert [one.level for one in found(plan_of(made, "{model: {mlp: {hidden: [16]}}}"))] == ["note"]


@pytest.mark.parametrize(("weights", "level"), [("{}", "note"), ("{one_hot: 0, batch_norm: 0}", "warning")])
def test_a_finished_teacher_is_tried_at_once(weights: str, level: str, tmp_path: Path) -> None:
    import torch

    first = plan_of("pool: 500")
    trained = open_workshop(first, tmp_path, Silent(), torch.device("cpu")).train_teacher(0)
    assert trained is not None
    steps = "steps: 60, " if level == "note" else "steps: 1, rate: 1000.0, "
    (one,) = found(plan_of(f"{steps}weights: {weights}", f'{{source: "run:{tmp_path}"}}'))
    assert one.level == level and "In a trial of 4 small batches" in one.sentence
