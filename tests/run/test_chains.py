from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from torch import nn

from limbeck.objectives import CrossEntropy, SoftLabels, TeacherLabels
from limbeck.objectives.objective import Objective
from limbeck.run.chains import folder_of, steps_by_fit, train_chains
from limbeck.run.classification import Classification
from limbeck.run.jobs import Trained
from limbeck.run.model_plan import ModelPlan
from limbeck.run.stage_plan import StagePlan
from limbeck.train.loop import Progress
from limbeck.train.settings import Settings

SOFT = Objective([(0.9, SoftLabels()), (0.1, CrossEntropy())])
HARD = Objective([(0.9, TeacherLabels()), (0.1, CrossEntropy())])
STUDENT_PLAN = ModelPlan(nn.Identity, {"mlp": {}}, "mlp", None)
PLAIN = Objective([(1.0, CrossEntropy())])


def stage(name: str, start: str, objective: Objective, **settings: Any) -> StagePlan:
    return StagePlan(name, start, objective, Settings(steps=10, **settings))


def branches(**settings: Any) -> tuple[StagePlan, ...]:
    return (
        stage("hard", "scratch", HARD, **settings),
        stage("hard-tuned", "hard", PLAIN),
        stage("soft", "scratch", SOFT, **settings),
        stage("soft-tuned", "soft", PLAIN),
    )


class Workshop:
    """Trains nothing and notes what it was asked for."""

    def __init__(self, stages: tuple[StagePlan, ...], steps: dict[str, int] | None = None) -> None:
        controls = ("labels", "teacher_labels", "self_training")
        self.plan: Any = SimpleNamespace(
            stages=stages, seeds=(0, 1), controls=controls, student=STUDENT_PLAN, task=Classification()
        )
        self.folder = Path("run")
        self.steps = steps or {}
        self.calls: list[tuple[str, str, int]] = []
        self.given: dict[tuple[str, str, int], dict[str, Any]] = {}

    def train_stage(self, stage: StagePlan, role: str, seed: int, **given: Any) -> Trained:
        self.calls.append((stage.name, role, seed))
        self.given[stage.name, role, seed] = given
        student = given["student"]
        step = self.steps.get(stage.name, 10) if student is None else student.progress.step
        return Trained(None, given["folder"], Progress(step=step), seed, 1.0, step)  # type: ignore[arg-type]


def train(workshop: Workshop) -> Any:
    return train_chains(workshop, {0: None, 1: None})  # type: ignore[arg-type]


def test_controls_that_two_branches_share_are_trained_once() -> None:
    workshop = Workshop(branches())
    chains = train(workshop)
    assert len(workshop.calls) == len(set(workshop.calls))
    for role in ("labels", "self_training", "teacher_labels"):
        assert chains.of("soft", role) == chains.of("hard", role)
        assert chains.of("soft-tuned", role) == chains.of("hard-tuned", role)
    assert chains.of("soft", "student") != chains.of("hard", "student")
    assert chains.of("soft-tuned", "student") != chains.of("hard-tuned", "student")
    assert len(workshop.calls) == 2 * (4 + 3 + 3)
    assert (
        sum(steps_by_fit(workshop.plan, dict.fromkeys(("hard", "hard-tuned", "soft", "soft-tuned"), 10)).values())
        == 200
    )


def test_every_fit_starts_from_its_own_chain() -> None:
    workshop = Workshop(branches())
    chains = train(workshop)
    for (name, role, seed), given in workshop.given.items():
        start = {"hard-tuned": "hard", "soft-tuned": "soft"}.get(name)
        assert given["before"] is (chains.of(start, role)[seed] if start else None)
        assert given["student"] is (None if role == "student" else chains.of(name, "student")[seed])
        assert given["labeller"] is (chains.of(name, "labels")[seed] if role == "self_training" else None)


def test_controls_of_students_that_stopped_at_different_steps_are_not_shared() -> None:
    workshop = Workshop(branches(patience=1), steps={"hard": 4, "soft": 7})
    chains = train(workshop)
    for first, second in (("hard", "soft"), ("hard-tuned", "soft-tuned")):
        assert not set(chains.of(first, "labels").values()) & set(chains.of(second, "labels").values())
    assert workshop.given["soft-tuned", "labels", 1]["before"].progress.step == 7


@pytest.mark.parametrize("change", [{"lr": 0.1}, {"batch_size": 7}, {"schedule": "constant"}])
def test_other_settings_make_another_control(change: dict[str, Any]) -> None:
    chains = train(Workshop((stage("hard", "scratch", HARD), stage("soft", "scratch", SOFT, **change))))
    assert chains.of("soft", "labels") != chains.of("hard", "labels")


def test_the_last_stage_is_at_the_top_of_the_folder() -> None:
    workshop = Workshop(branches())
    stages, plan = workshop.plan.stages, workshop.plan
    assert folder_of(Path("r"), plan, stages[-1], "student") == Path("r/student")
    assert folder_of(Path("r"), plan, stages[-1], "labels") == Path("r/controls/labels")
    assert folder_of(Path("r"), plan, stages[0], "student") == Path("r/stages/hard/student")
    assert folder_of(Path("r"), plan, stages[0], "labels") == Path("r/stages/hard/controls/labels")
    train(workshop)
    folders = [given["folder"] for given in workshop.given.values()]
    assert len(set(folders)) == len(folders)
