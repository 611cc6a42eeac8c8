from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from limbeck.data.dataset import Data
from limbeck.models.linear import Linear
from limbeck.objectives import CrossEntropy, SoftLabels, TeacherLabels
from limbeck.objectives.objective import Objective
from limbeck.run import assess as assessing
from limbeck.run.answers import Answers
from limbeck.run.assess import assess, describe_data, describe_stages, header, public_source
from limbeck.run.chains import Chains
from limbeck.run.jobs import Trained
from limbeck.run.model_plan import ModelPlan
from limbeck.run.plan import Plan, TeacherPlan
from limbeck.run.stage_plan import StagePlan
from limbeck.train.loop import Progress
from limbeck.train.settings import Settings

SEEDS = (0, 1, 2)
X = torch.randn(400, 3, generator=torch.Generator().manual_seed(0))
DATA = Data.from_arrays((X, (X[:, 0] > 0).long()), (X, (X[:, 0] > 0).long()))
MODEL = ModelPlan(lambda: Linear((3,), 2), {"linear": {}}, "linear", None)
TAUGHT = Objective([(1.0, SoftLabels())])


def plan_of(*names: str, **changes: Any) -> Plan:
    stages = tuple(StagePlan(name, "scratch", TAUGHT, Settings(steps=500)) for name in names)
    teacher = TeacherPlan(MODEL, Settings())
    return Plan("p", SEEDS, DATA, MODEL, stages, **{"teacher": teacher, "controls": ("labels",), **changes})


class Planted:
    """Fits without a model, and answers that are right at a planned rate."""

    validation = 100

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answers: dict[str, Answers] = {}
        self.shared = np.random.default_rng(1).random(len(DATA.test))
        monkeypatch.setattr(assessing, "ask", lambda fits, *_: self.answers[next(iter(fits.values())).folder.name])

    def fits(self, name: str, rate: float, seeds: tuple[int, ...] = SEEDS, steps: int = 500) -> dict[int, Trained]:
        dice, labels = np.random.default_rng(len(self.answers)), DATA.test.labels.numpy()
        right = np.stack([0.7 * self.shared + 0.3 * dice.random(len(labels)) < rate for _ in seeds])
        classes = np.where(right, labels, 1 - labels)
        self.answers[name] = Answers(np.eye(2)[classes] * 0.8 + 0.1, seeds, labels)
        progress = Progress(step=steps, best_accuracy=rate)
        return {s: Trained(None, Path(name), progress, s, 1.0, steps, False, self.validation) for s in seeds}  # type: ignore[arg-type]


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> Planted:
    return Planted(monkeypatch)


def test_keys_are_plain_for_the_last_stage_and_never_collide(planted: Planted) -> None:
    shared = planted.fits("shared", 0.7)
    chains = Chains({
        "student": {"student": planted.fits("a", 0.8), "labels": planted.fits("b", 0.7)},
        "labels": {"student": planted.fits("c", 0.8), "labels": shared},
        "last": {"student": planted.fits("d", 0.8), "labels": shared},
    })  # fmt: skip
    plan = plan_of("student", "labels", "last")
    findings = assess(plan, planted.fits("t", 0.9, seeds=(0,)), chains)
    assert list(findings.fits) == [
        "teacher",
        "student/student",
        "student/labels",
        "labels/student",
        "labels",
        "student",
    ]
    assert findings.fits["labels"] is shared
    assert findings.roles["student"] == ("student", "student")
    assert findings.roles["labels/student"] == ("stage", "student")
    controls = [stage["controls"] for stage in describe_stages(plan, findings)]
    assert controls == [{"labels": "student/labels"}, {"labels": "labels"}, {"labels": "labels"}]


def test_many_verdicts_are_corrected_for_their_number(planted: Planted) -> None:
    names = [f"stage{number}" for number in range(6)]
    rates = [0.9, *[0.713] * 5]
    control = planted.fits("control", 0.7)
    chains = Chains({
        name: {"student": planted.fits(name, rate), "labels": control} for name, rate in zip(names, rates, strict=True)
    })  # fmt: skip
    findings = assess(plan_of(*names), {}, chains)
    alone = {name: assess(plan_of(name), {}, Chains({name: chains.fits[name]})).verdicts[name] for name in names}
    assert findings.verdicts["stage0"].outcome == "helped"
    for name in names:
        assert findings.verdicts[name].gain == alone[name].gain
        assert findings.verdicts[name].p_value >= alone[name].p_value
    assert any(findings.verdicts[name].p_value > alone[name].p_value for name in names)


def notes(planted: Planted, plan: Plan, teacher: float = 0.9, steps: int = 500) -> str:
    fits = {"student": planted.fits("s", 0.8, steps=steps), "labels": planted.fits("c", 0.7)}
    chains = Chains({plan.stages[0].name: fits})
    verdict = assess(plan, planted.fits("t", teacher, seeds=(0,)), chains).verdicts[plan.stages[0].name]
    return " ".join(verdict.notes)


def test_notes_say_what_a_verdict_rests_on(planted: Planted) -> None:
    assert notes(planted, plan_of("one")) == ""
    assert "no better than a control" in notes(planted, plan_of("one"), teacher=0.6)
    assert "The teacher has seen" in notes(planted, plan_of("one", labels_per_class=10))
    same = TeacherPlan(MODEL, Settings(), labels="same", per_seed=True)
    assert notes(planted, plan_of("one", labels_per_class=10, teacher=same)) == ""
    assert "trained elsewhere" in notes(planted, plan_of("one", teacher=TeacherPlan(MODEL, None)))
    given = ModelPlan(lambda: Linear((3,), 2), None, "Mine", None, fresh=False)
    assert "same given weights" in notes(planted, replace(plan_of("one"), student=given))
    assert "only 20 optimizer steps" in notes(planted, plan_of("one"), steps=20)


def test_the_data_section_counts_what_is_visible() -> None:
    found = describe_data(plan_of("one", labels_per_class=10))
    assert found["labelled"] + found["validation_labelled"] == 20
    assert found["labelled"] + found["unlabelled"] == found["train"]
    assert (found["test"], found["shape"], found["kind"]) == (400, [3], "vector")
    assert found["augment"] == [] and found["views"] is None


@pytest.mark.parametrize(
    ("source", "shown"),
    [("folder:/home/me/x/photos/", "folder:photos"), ("digits", "digits"), ("parquet:a.parquet", "parquet:a.parquet")],
)
def test_a_source_is_shown_without_the_folders_above_it(source: str, shown: str) -> None:
    assert public_source(source) == shown


def test_the_header_begins_the_report() -> None:
    found = header(plan_of("one"), "2026-01-01T00:00:00+00:00")
    assert (found["schema"], found["seeds"], found["primary"]) == (1, [0, 1, 2], "accuracy")


def test_plain_cross_entropy_is_no_teacher(planted: Planted) -> None:
    stages = (StagePlan("one", "scratch", Objective([(1.0, CrossEntropy())]), Settings(steps=500)),)
    chains = Chains({"one": {"student": planted.fits("s", 0.7), "labels": planted.fits("c", 0.7)}})
    plan = Plan("p", SEEDS, DATA, MODEL, stages, controls=("labels",))
    verdict = assess(plan, {}, chains).verdicts["one"]
    assert verdict.gap_closed is None
    assert verdict.over_teacher_labels is None


def judged(planted: Planted, validation: dict[str, float], rates: dict[str, float], *, rows: int) -> Any:
    planted.validation = rows
    fits = {"student": planted.fits("student", 0.9)}
    for name, rate in rates.items():
        fits[name] = planted.fits(name, rate)
        for one in fits[name].values():
            one.progress.best_accuracy = validation.get(name)
    return assess(plan_of("one", teacher=None, controls=tuple(rates)), {}, Chains({"one": fits})).verdicts["one"]


RATES = {"labels": 0.5, "smoothing": 0.8, "self_training": 0.7}


def test_the_control_is_chosen_on_validation_data(planted: Planted) -> None:
    verdict = judged(planted, {"labels": 0.5, "smoothing": 0.6, "self_training": 0.9}, RATES, rows=100)
    assert (verdict.against, verdict.notes) == ("self_training", ())


def test_few_validation_labels_are_named_with_the_gain_against_each_control(planted: Planted) -> None:
    verdict = judged(planted, {"labels": 0.9, "smoothing": 0.6, "self_training": 0.7}, RATES, rows=10)
    assert verdict.against == "labels"
    assert "chosen by only 10 validation labels" in verdict.notes[0]
    assert all(name in verdict.notes[0] for name in RATES)


def test_without_validation_labels_the_strictest_control_counts(planted: Planted) -> None:
    verdict = judged(planted, {}, RATES, rows=0)
    assert verdict.against == "smoothing"
    assert "no validation labels to choose the best control by" in verdict.notes[0]


def test_soft_knowledge_is_judged_only_where_there_is_some(planted: Planted) -> None:
    hard = StagePlan("hard", "scratch", Objective([(1.0, TeacherLabels())]), Settings(steps=500))
    tuned = StagePlan("tuned", "hard", Objective([(1.0, CrossEntropy())]), Settings(steps=500))
    soft = StagePlan("soft", "scratch", TAUGHT, Settings(steps=500))
    after = StagePlan("after", "soft", Objective([(1.0, CrossEntropy())]), Settings(steps=500))
    plan = replace(plan_of("one", controls=("labels", "teacher_labels")), stages=(hard, tuned, soft, after))
    chains = Chains()
    for stage in plan.stages:
        roles = ("student", "labels", "teacher_labels")
        chains.fits[stage.name] = {role: planted.fits(f"{stage.name}-{role}", 0.8) for role in roles}
    verdicts = assess(plan, {0: planted.fits("teacher", 0.9)[0]}, chains).verdicts
    assert [verdicts[name].over_teacher_labels is None for name in ("hard", "tuned", "soft", "after")] == [
        True, True, False, False,
    ]  # fmt: skip
