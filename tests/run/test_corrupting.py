from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import limbeck
from limbeck.errors import RecipeError, UserError
from limbeck.models.adapt import Adapted
from limbeck.objectives import CrossEntropy, SoftLabels
from limbeck.objectives.objective import Objective
from limbeck.recipe.load import load_recipe, parse_recipe
from limbeck.run import jobs
from limbeck.run.plan import plan_from_recipe
from limbeck.teachers.base import Teacher
from limbeck.train.loop import Budget, Lesson, fit
from limbeck.train.settings import Settings
from limbeck.types import Batch, Knowledge

SHOWN = "{source: digits, corruptions: {names: [noise, jpeg], severities: [3], share: 0.5}}"


@pytest.fixture
def corrupting(tiny: Path) -> Path:
    """The tiny recipe with half of what students are shown corrupted."""
    tiny.write_text(tiny.read_text().replace("{source: digits}", SHOWN))
    return tiny


class Listening(Teacher):
    """Keeps what it was asked about."""

    provides = frozenset({"logits", "probs"})
    classes = 10
    fingerprint = "listening"

    def current_fingerprint(self) -> str:
        return self.fingerprint

    def __init__(self) -> None:
        self.asked, self.heard = 0, []  # type: ignore[var-annotated]

    def __call__(self, batch: Batch) -> Knowledge:
        self.heard.append(batch.inputs)
        return Knowledge(logits=torch.zeros(len(batch.inputs), 10))


class Looking(nn.Module):
    """Keeps what it is shown in training."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(64, 10)
        self.seen: list[Tensor] = []

    def forward(self, inputs: Tensor) -> Tensor:
        if self.training:
            self.seen.append(inputs)
        logits: Tensor = self.linear(inputs.flatten(1))
        return logits


def test_the_teacher_sees_the_sample_and_the_student_what_became_of_it(corrupting: Path) -> None:
    plan = plan_from_recipe(load_recipe(corrupting))
    data, net, teacher = plan.data, Looking(), Listening()
    lesson = Lesson(data.pool, data.train, data.validation, data.pool.labels, corrupting=plan.corrupting)
    objective = Objective([(0.5, SoftLabels()), (0.5, CrossEntropy())])
    fit(Adapted(net, classes=10), objective, lesson, Settings(steps=6, batch_size=32), Budget(6, 3), teacher=teacher)
    told, shown = teacher.heard[-6:], net.seen
    assert len(shown) == 6
    clean = {one.numpy().tobytes() for one in data.pool.batch(data.train).inputs}
    assert all(one.numpy().tobytes() in clean for batch in told for one in batch)
    same = torch.cat([(mine == theirs).flatten(1).all(1) for mine, theirs in zip(shown, told, strict=True)])
    assert float(same.double().mean()) == pytest.approx(0.5, abs=0.15)


def test_student_and_controls_see_the_same_corruptions_and_the_teacher_none(
    corrupting: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick_page: None
) -> None:
    lessons: dict[tuple[str, int], Lesson] = {}
    real = jobs.fit

    def listening(model: Any, objective: Any, lesson: Lesson, *others: Any, **more: Any) -> Any:
        lessons[more["name"], more["seed"]] = lesson
        return real(model, objective, lesson, *others, **more)

    monkeypatch.setattr(jobs, "fit", listening)
    text = corrupting.read_text().replace("seeds: 2", "seeds: 1")
    corrupting.write_text(text + "controls: [labels, smoothing]\nexport: {onnx: false}\n")
    report = limbeck.run_recipe(corrupting, out=tmp_path / "out", progress=False).report
    assert report["data"]["corruptions"].endswith("jpeg at severity 3, 50 % of what student and controls are shown")
    assert lessons["teacher", 0].corrupting is None
    rows, showing = lessons["student", 0].rows[:40], torch.arange(40) % 3
    batches = [lessons[name, 0].batch(rows, showing) for name in ("student", "labels", "smoothing")]
    assert all(torch.equal(one.shown, batches[0].shown) for one in batches)
    assert not torch.equal(batches[0].shown, batches[0].inputs)
    assert report["cost"]["teacher_forwards"] <= len(lessons["student", 0].samples)  # the kept answers are enough


def test_another_share_is_another_fit(corrupting: Path) -> None:
    def fingerprint(share: float) -> Any:
        plan = plan_from_recipe(load_recipe(corrupting, [f"data.corruptions.share={share}"]))
        lesson = Lesson(
            plan.data.pool, plan.data.train, plan.data.validation, plan.data.pool.labels, corrupting=plan.corrupting
        )
        model, stage = plan.model(plan.student, 0), plan.stages[0]
        job = jobs.Job(
            "labels", 0, model, plan.student, stage.objective, lesson, stage.settings, Budget(6, 3), plan.data
        )
        return job.fingerprint(torch.device("cpu"))

    assert fingerprint(0.5) == fingerprint(0.5) != fingerprint(0.25)


def test_a_frozen_body_is_asked_about_what_is_shown(corrupting: Path) -> None:
    from limbeck.run.probes import _is_fixed

    plan = plan_from_recipe(load_recipe(corrupting))
    lesson = Lesson(plan.data.pool, plan.data.train, plan.data.validation, plan.data.pool.labels)
    model, stage = plan.model(plan.student, 0), plan.stages[0]
    objective = stage.objective.control()
    for corrupted in (None, plan.corrupting):
        own = Lesson(lesson.samples, lesson.rows, lesson.validation, lesson.labels, corrupting=corrupted)
        job = jobs.Job("labels", 0, model, plan.student, objective, own, stage.settings, Budget(6, 3), plan.data)
        assert _is_fixed(job) == (corrupted is None)


@pytest.mark.parametrize(("section", "said"), [
    ("{names: [nose]}", "There is no corruption 'nose' of pictures; did you mean noise"),
    ("{severities: [6]}", "severities"),
    ("{share: 0}", "share"),
    ("{kinds: [noise]}", "kinds"),
])  # fmt: skip
def test_mistakes_in_the_section_get_a_sentence(tiny: Path, section: str, said: str) -> None:
    text = tiny.read_text().replace("{source: digits}", f"{{source: digits, corruptions: {section}}}")
    with pytest.raises(RecipeError, match=said):
        parse_recipe(text)


def test_what_does_not_go_with_it_is_said(corrupting: Path, tmp_path: Path) -> None:
    for change, said in (
        ("objective=[trades]", "trades changes samples by itself, so data.corruptions do not go with it"),
        ("teacher={mutual: {}}", "in teacher.mutual two learn"),
        ("student={model: tree}", "is grown at once on samples as they are; leave data.corruptions out"),
    ):
        with pytest.raises(UserError, match=said):
            plan_from_recipe(load_recipe(corrupting, [change]))
    torch.manual_seed(0)
    import numpy as np

    np.savez(tmp_path / "rows.npz", x=np.random.default_rng(0).random((80, 6), dtype=np.float32), y=np.arange(80) % 2)
    with pytest.raises(UserError, match="change pictures of 8 bits, but samples are rows of numbers"):
        plan_from_recipe(load_recipe(corrupting, [f"data.source=npz:{tmp_path}/rows.npz"]))
    with pytest.raises(RecipeError, match="corruptions is for pictures"):
        load_recipe(corrupting, ["data.source=csv:rows.csv"])
