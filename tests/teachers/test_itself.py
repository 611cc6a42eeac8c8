"""The student as its own teacher: the average by hand, its state in a checkpoint, and its place in a run."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.run.stopping import Stopping, figures
from torch import nn

from limbeck.data.dataset import Data
from limbeck.errors import ObjectiveError, RecipeError
from limbeck.models import MLP
from limbeck.models.adapt import Adapted
from limbeck.objectives import CrossEntropy, SoftLabels
from limbeck.objectives.objective import Objective
from limbeck.preflight.checks import preflight
from limbeck.recipe.load import parse_recipe
from limbeck.run import beside, jobs, pipeline
from limbeck.run.plan import Plan, plan_from_recipe
from limbeck.teachers.itself import SelfTeacher
from limbeck.train import loop
from limbeck.train.loop import Budget, Lesson, fit
from limbeck.train.settings import Settings
from limbeck.types import Batch

RECIPE = """\
name: itself
seeds: 2
data: {source: digits, classes: [3, 5, 8], labels_per_class: 10}
teacher: {self: {decay: 0.9}}
student: {model: {mlp: {hidden: [6], dropout: 0.2}}, train: {steps: 24, batch_size: 64, lr: 0.01}}
objective: [soft_labels: {weight: 0.5}, cross_entropy]
export: {onnx: false}
"""


class Normed(nn.Module):
    """A net with floating and whole-number buffers."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.head = nn.BatchNorm1d(5), nn.Linear(5, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.norm(x))  # type: ignore[no-any-return]


def plan_of(text: str) -> Plan:
    return plan_from_recipe(parse_recipe(text))


def test_the_average_is_a_mean_at_first_and_exponential_then() -> None:
    torch.manual_seed(0)
    student = Adapted(Normed(), classes=3)
    teacher = SelfTeacher(student, decay=0.75)
    wanted, weights = None, []
    for step in range(12):
        with torch.no_grad():
            for value in student.net.state_dict().values():
                value.copy_(torch.rand_like(value) if value.is_floating_point() else value + 1)
        weights.append({name: value.clone() for name, value in student.net.state_dict().items()})
        teacher.follow(student, step)
        average = teacher.model.net.state_dict()
        for name in ("head.weight", "norm.running_var"):
            if step < 4:  # 1 - 1 / (t + 1) is at most 0.75 up to t = 3
                mean = torch.stack([one[name] for one in weights]).mean(0)
                torch.testing.assert_close(average[name], mean)
        wanted = average["head.weight"].clone() if step == 3 else wanted
    for step in range(4, 12):
        wanted = 0.75 * wanted + 0.25 * weights[step]["head.weight"]
    torch.testing.assert_close(teacher.model.net.state_dict()["head.weight"], wanted)
    assert int(teacher.model.net.state_dict()["norm.num_batches_tracked"]) == 12


def test_no_decay_is_the_student_itself_in_evaluation_mode() -> None:
    student = Adapted(Normed(), classes=3)
    teacher, inputs = SelfTeacher(student, decay=0.0), torch.randn(7, 5)
    with torch.no_grad():
        student.net.head.weight.mul_(2)
    before = teacher(Batch(inputs)).logits
    teacher.follow(student, 5)
    said = teacher(Batch(inputs)).logits
    with torch.no_grad():
        torch.testing.assert_close(said, student.eval()(inputs).logits)
    assert not torch.allclose(said, before)
    assert teacher.asked == 14 and not said.requires_grad


def test_it_follows_every_step_and_never_learns_by_itself() -> None:
    data = Data.open("digits", classes=["3", "5"])
    seen: list[dict[str, torch.Tensor]] = []

    class Watched(SelfTeacher):
        def follow(self, student: Adapted, step: int) -> None:
            assert step == len(seen)
            seen.append({name: value.clone() for name, value in student.net.state_dict().items()})
            super().follow(student, step)

    student = Adapted(MLP((1, 8, 8), 2, hidden=(4,)), classes=2)
    teacher = Watched(student, 0.999)
    lesson = Lesson(data.pool, data.train, data.validation, data.pool.labels)
    objective = Objective([(1.0, SoftLabels()), (1.0, CrossEntropy())])
    fit(student, objective, lesson, Settings(batch_size=32), Budget(9, 3), teacher=teacher)
    assert len(seen) == 9
    assert all(parameter.grad is None for parameter in teacher.model.parameters())
    mean = torch.stack([one["head.weight"] for one in seen]).mean(0)
    torch.testing.assert_close(teacher.model.net.head.weight, mean, atol=1e-6, rtol=1e-5)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A finished run, and the teacher of each of its fits."""
    teachers: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patched:
        real = jobs.fit

        def noting(*given: Any, **named: Any) -> Any:
            teachers[f"{named['name']} {named['seed']}"] = (named["teacher"], copy.deepcopy(named["teacher"]))
            return real(*given, **named)

        patched.setattr(jobs, "fit", noting)
        patched.setattr(pipeline, "render_html", lambda report: "page")
        return pipeline.run(plan_of(RECIPE), out=tmp_path_factory.mktemp("itself") / "run"), teachers


def test_only_the_student_has_it_and_each_seed_its_own(finished: tuple[Path, dict[str, Any]]) -> None:
    folder, teachers = finished
    assert {name for name, (teacher, _) in teachers.items() if teacher is not None} == {"student 0", "student 1"}
    (first, started), (second, _) = teachers["student 0"], teachers["student 1"]
    assert first is not second
    assert first.current_fingerprint() != started.current_fingerprint()
    report = figures(folder)
    assert set(report["models"]) == {"student", "labels", "smoothing", "self_training"}
    assert [stage["teacher"] for stage in report["stages"]] == ["itself"]
    assert report["verdict"]["gap_closed"] is None
    assert report["cost"]["teacher_forwards"] == 2 * 24 * 64, "each showing"
    assert {model["steps"] for model in report["models"].values()} == {24}


@pytest.mark.parametrize("stop", [2, 3, 10])
def test_a_run_that_was_stopped_goes_on_to_the_same_weights(
    finished: tuple[Path, dict[str, Any]], stop: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick_page: None
) -> None:
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
    with pytest.raises(KeyboardInterrupt):
        pipeline.run(plan_of(RECIPE), out=tmp_path / "run", watcher=Stopping(stop))
    resumed = pipeline.run(plan_of(RECIPE), out=tmp_path / "run", resume=True)
    for path in finished[0].rglob("*.safetensors"):
        assert (resumed / path.relative_to(finished[0])).read_bytes() == path.read_bytes(), path
    assert figures(resumed)["models"] == figures(finished[0])["models"]


def test_a_stage_with_a_teacher_of_its_own_hears_that_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick_page: None
) -> None:
    stages = """
stages:
  - {name: first, from: scratch, objective: [soft_labels, cross_entropy]}
  - {name: second, from: scratch, teacher: first, objective: [soft_labels, cross_entropy]}
"""
    text = RECIPE.replace("objective: [soft_labels: {weight: 0.5}, cross_entropy]", stages)
    report = figures(pipeline.run(plan_of(text), out=tmp_path / "run"))
    assert [stage["teacher"] for stage in report["stages"]] == ["itself", "first"]
    assert "teacher_labels" not in report["models"]


def test_helpers_are_not_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick_page: None) -> None:
    monkeypatch.setattr(beside, "WORTH_STEPS", 1)
    monkeypatch.setattr(beside.Helpers, "_start", lambda *given: pytest.fail("a live teacher uses all threads"))
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        pipeline.run(plan_of(RECIPE.replace("steps: 24", "steps: 4")), out=tmp_path / "run")
    finally:
        torch.set_num_threads(threads)


def test_check_finds_no_fault() -> None:
    assert not [finding for finding in preflight(plan_of(RECIPE)) if finding.level == "fault"]


def test_hard_labels_of_its_own_are_no_control() -> None:
    made = plan_of(RECIPE + "controls: [labels, teacher_labels]\n")
    assert made.controls == ("labels",)
    assert made.notes == ("The control teacher_labels was left out: no term asks a finished model.",)


@pytest.mark.parametrize(
    ("teacher", "said"),
    [
        ("{self: {decay: 1}}", r"teacher.self.decay .*: expected less than 1, got 1"),
        ("{self: {dekay: 0.9}}", 'teacher.self.dekay .*: unknown key. Did you mean "decay"?'),
        ("{self: {}, model: mlp}", "model does not go with self"),
        ("{self: {}, source: 'run:x'}", "source does not go with self"),
        ("{self: {}, per_seed: true}", "per_seed does not go with self"),
    ],
)
def test_mistakes_get_a_sentence(teacher: str, said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        parse_recipe(f"student: {{model: mlp}}\nobjective: [soft_labels, cross_entropy]\nteacher: {teacher}")


def test_terms_on_features_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ObjectiveError, match="hint needs features from the teacher, which gives labels and logits"):
        pipeline.run(plan_of(RECIPE.replace("[soft_labels:", "[hint:")), out=tmp_path / "run")
