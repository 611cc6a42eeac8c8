"""The rules that make a verdict evidence: same chances for the control, test samples unseen, figures decide."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
import yaml

from limbeck.data.samples import Samples
from limbeck.errors import Failure
from limbeck.evaluate.verdict import judge
from limbeck.models import MLP
from limbeck.models.weights import checksum, load_weights, save_weights
from limbeck.recipe.load import parse_recipe
from limbeck.run import assess as assessing
from limbeck.run import fits, jobs, pipeline
from limbeck.run.answers import Answers
from limbeck.run.chains import Chains
from limbeck.run.plan import Plan, plan_from_recipe
from limbeck.teachers.module import ModuleTeacher
from limbeck.train.loop import Lesson, Progress
from limbeck.train.settings import Settings

RECIPE: dict[str, Any] = {
    "name": "evidence",
    "seeds": 2,
    "data": {"source": "digits"},
    "teacher": {"model": {"mlp": {"hidden": [16]}}, "train": {"epochs": 2, "batch_size": 256, "lr": 0.01}},
    "student": {"model": {"mlp": {"hidden": [8]}}, "train": {"steps": 24, "batch_size": 64, "lr": 0.01}},
    "objective": [{"soft_labels": {"weight": 0.9}}, {"cross_entropy": {"weight": 0.1}}],
    "export": {"onnx": False},
}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw no page and keep no control for later: neither is what these tests look at."""
    monkeypatch.setenv("LIMBECK_CACHE", "off")
    monkeypatch.setattr(pipeline, "render_html", lambda report: "")


def plan_of(**changes: Any) -> Plan:
    """Return the plan of the recipe with "section__key" or whole sections replaced."""
    content = copy.deepcopy(RECIPE)
    for name, value in changes.items():
        *sections, key = name.split("__")
        target = content
        for section in sections:
            target = target[section]
        target[key] = value
    return plan_from_recipe(parse_recipe(yaml.safe_dump(content)))


def report_of(plan: Plan, folder: Path) -> dict[str, Any]:
    pipeline.run(plan, out=folder)
    report: dict[str, Any] = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return report


@dataclass
class Seen:
    """What one call of fit was given."""

    name: str
    seed: int
    start: str
    lesson: Lesson
    settings: Settings
    end: str = ""


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[Seen]:
    """Every call of fit, in order."""
    calls: list[Seen] = []
    real = jobs.fit

    def fit(model: Any, objective: Any, lesson: Lesson, settings: Settings, budget: Any, **named: Any) -> Progress:
        call = Seen(named["name"], named["seed"], checksum(model.net), lesson, settings)
        calls.append(call)
        progress = real(model, objective, lesson, settings, budget, **named)
        call.end = checksum(model.net)
        return progress

    monkeypatch.setattr(jobs, "fit", fit)
    return calls


def learners(calls: Sequence[Seen]) -> Iterator[tuple[int, dict[str, Seen]]]:
    """Give, for each seed, the calls of student and controls by name."""
    for seed in sorted({call.seed for call in calls if call.name != "teacher"}):
        yield seed, {call.name: call for call in calls if call.seed == seed and call.name != "teacher"}


CASES: dict[str, dict[str, Any]] = {
    "all labels": {},
    "few labels": {"data__labels_per_class": 5},
    "epochs": {"data__labels_per_class": 5, "student__train": {"epochs": 2, "batch_size": 64, "lr": 0.01}},
    "patience": {"seeds": 3, "student__train": {"epochs": 12, "batch_size": 512, "lr": 0.02, "patience": 1}},
}


@pytest.mark.parametrize("case", CASES)
def test_controls_take_as_many_optimizer_steps_as_the_student(case: str, tmp_path: Path) -> None:
    report = report_of(plan_of(**CASES[case]), tmp_path / "run")
    models = {key: model for key, model in report["models"].items() if key != "teacher"}
    assert len(models) >= 4
    steps = models["student"]["steps_per_seed"]
    assert [model["steps_per_seed"] for model in models.values()] == [steps] * len(models)
    if case == "epochs":
        assert steps == [2 * round(1294 / 64)] * 2, "the few labels are cycled for as long as the student trains"
    if case == "patience":
        assert min(steps) < 12 * round(1294 / 512), "no student stopped early, so nothing was tested"


def test_student_and_controls_get_the_same_chances(seen: list[Seen], tmp_path: Path) -> None:
    augment = [{"shift": {"pixels": 1}}]
    plan = plan_of(data={"source": "digits", "labels_per_class": 10, "augment": augment, "views": 2})
    pipeline.run(plan, out=tmp_path / "run")
    starts = []
    for seed, by_name in learners(seen):
        assert set(by_name) == {"student", "labels", "smoothing", "teacher_labels", "self_training"}
        assert len({call.start for call in by_name.values()}) == 1
        assert len({id(call.lesson.views) for call in by_name.values()}) == 1
        assert len({(c.settings.batch_size, c.settings.lr, c.settings.schedule) for c in by_name.values()}) == 1
        visible = plan.data.visible_labels(10, seed)
        for name in ("student", "labels", "smoothing", "teacher_labels"):
            assert torch.equal(by_name[name].lesson.labels, visible)
        assert torch.equal(by_name["labels"].lesson.rows, by_name["smoothing"].lesson.rows)
        assert torch.equal(by_name["student"].lesson.rows, by_name["teacher_labels"].lesson.rows)
        starts.append(by_name["student"].start)
    assert len(set(starts)) == 2, "each seed has starting weights of its own"


def test_hidden_labels_are_hidden_from_everything(seen: list[Seen], tmp_path: Path) -> None:
    plan = plan_of(data__labels_per_class=10)
    pipeline.run(plan, out=tmp_path / "run")
    for seed, by_name in learners(seen):
        visible = plan.data.visible_labels(10, seed)
        for name, call in by_name.items():
            assert bool((visible[call.lesson.validation] >= 0).all()), name
            assert set(call.lesson.validation.tolist()) <= set(plan.data.validation.tolist())
            assert not set(call.lesson.rows.tolist()) & set(plan.data.validation.tolist())
        guessed = by_name["self_training"].lesson.labels[plan.data.train]
        known = visible[plan.data.train] >= 0
        assert torch.equal(guessed[known], visible[plan.data.train][known])
        assert bool((guessed >= 0).all()), "it labels every sample itself"
        truth = plan.data.pool.labels[plan.data.train]
        assert not torch.equal(guessed, truth), "it must guess, not look"
    (teacher,) = [call for call in seen if call.name == "teacher"]
    assert torch.equal(teacher.lesson.labels, plan.data.pool.labels), "labels: all"


def test_a_teacher_of_the_same_labels_is_trained_for_each_seed(seen: list[Seen], tmp_path: Path) -> None:
    plan = plan_of(data__labels_per_class=10, teacher__labels="same", export={"onnx": True})
    report = report_of(plan, tmp_path / "run")
    teachers = {call.seed: call for call in seen if call.name == "teacher"}
    assert set(teachers) == {0, 1}
    for seed, call in teachers.items():
        assert torch.equal(call.lesson.labels, plan.data.visible_labels(10, seed))
        assert bool((call.lesson.labels[call.lesson.rows] >= 0).all())
        assert bool((call.lesson.labels[call.lesson.validation] >= 0).all())
        assert (tmp_path / "run" / "teacher" / "seeds" / str(seed) / "model.safetensors").is_file()
    assert len(report["models"]["teacher"]["metrics"]["accuracy"]["values"]) == 2
    assert not any("seen" in note for note in report["verdict"]["notes"])
    best = report["models"]["student"]["best_seed"]
    own, taught = (top_classes(tmp_path / "run", name, best) for name in ("student", "teacher"))
    assert report["export"]["onnx"]["metrics"]["agreement"]["mean"] == pytest.approx((own == taught).mean())


def top_classes(folder: Path, name: str, seed: int) -> np.ndarray:
    table = pq.read_table(folder / "predictions" / f"{name}.parquet", filters=[("seed", "=", seed)])
    return np.stack(table["scores"].to_numpy()).argmax(1)


def test_labels_that_only_the_teacher_has_seen_are_told(tmp_path: Path) -> None:
    report = report_of(plan_of(data__labels_per_class=10), tmp_path / "run")
    assert any("The teacher has seen 1,438 labels" in note and "100" in note for note in report["verdict"]["notes"])


def test_test_samples_are_in_no_training(tmp_path: Path) -> None:
    for seed in (0, 7):
        data = plan_of(seed=seed).data
        assert not set(data.test.ids) & set(data.pool.ids)
    again = plan_of(seed=7).data
    first = plan_of(seed=0).data
    assert first.test.ids == again.test.ids, "the split is that of split_seed"
    assert torch.equal(first.train, again.train)
    assert plan_of(data__split_seed=1).data.test.ids != first.test.ids
    assert not torch.equal(first.visible_labels(10, 0), first.visible_labels(10, 1)), "seeds draw labels of their own"


class Guarded(Samples):
    """Samples that may not be looked at while the gate is closed."""

    closed = False

    def __getattribute__(self, name: str) -> Any:
        if name in {"inputs", "labels", "batch"} and type(self).closed:
            raise AssertionError(f"test {name} were read before the evaluation")
        return super().__getattribute__(name)


def test_test_samples_are_read_by_the_evaluation_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_of(data__labels_per_class=10)
    test = plan.data.test
    plan = replace(plan, data=replace(plan.data, test=Guarded(test.inputs, test.labels, test.ids)))
    assert plan.data.fingerprint
    real = pipeline.judge_points

    def judge_points(*arguments: Any) -> Any:
        Guarded.closed = False
        return real(*arguments)

    monkeypatch.setattr(pipeline, "judge_points", judge_points)
    monkeypatch.setattr(Guarded, "closed", True)
    with pytest.raises(AssertionError, match="were read before"):
        plan.data.test.batch(torch.tensor([0]))
    report = report_of(plan, tmp_path / "run")
    assert report["models"]["student"]["metrics"]["accuracy"]["mean"] > 0


def test_the_teacher_stays_bit_identical(seen: list[Seen], tmp_path: Path) -> None:
    plan = plan_of(teacher__model={"cnn": {"width": 4, "depth": 2}}, seeds=1)
    report = report_of(plan, tmp_path / "run")
    (teacher,) = [call for call in seen if call.name == "teacher"]
    stored = plan.model(plan.teacher.model, 0).net
    load_weights(stored, tmp_path / "run" / "teacher" / "model.safetensors")
    assert report["models"]["teacher"]["checksum"] == teacher.end == checksum(stored)
    assert any("running_mean" in name for name in stored.state_dict()), "buffers are part of the check"


@pytest.mark.parametrize("views", [1, "fresh"])
def test_a_teacher_that_moves_stops_the_run(views: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = ModuleTeacher.__call__

    def moving(self: ModuleTeacher, batch: Any) -> Any:
        found = real(self, batch)
        with torch.no_grad():
            next(self.model.parameters()).add_(1e-7)
        return found

    monkeypatch.setattr(ModuleTeacher, "__call__", moving)
    plan = plan_of(data={"source": "digits", "augment": [{"shift": {"pixels": 1}}], "views": views}, seeds=1)
    with pytest.raises(Failure, match="teacher's weights or buffers changed"):
        pipeline.run(plan, out=tmp_path / "run")
    assert not (tmp_path / "run" / "report.json").exists()


@pytest.mark.parametrize("labels", [None, 10])
def test_a_teacher_with_random_weights_never_helps(labels: int | None, tmp_path: Path) -> None:
    torch.manual_seed(5)
    save_weights(tmp_path, MLP((1, 8, 8), 10, hidden=[16]), {})
    teacher = {"model": {"mlp": {"hidden": [16]}}, "source": f"file:{tmp_path / 'model.safetensors'}"}
    data = {"source": "digits", "labels_per_class": labels}
    train = {"steps": 80, "batch_size": 64, "lr": 0.01}
    plan = plan_of(seeds=3, data=data, teacher=teacher, student__train=train)
    report = report_of(plan, tmp_path / "run")
    assert report["verdict"]["outcome"] != "helped"
    assert report["verdict"]["gain"] < 0.01
    assert any("no better than a control without it" in note for note in report["verdict"]["notes"])
    assert report["models"]["teacher"]["steps"] == 0


def test_a_student_without_a_teacher_equals_its_control_exactly(tmp_path: Path) -> None:
    plan = plan_of(teacher=None, objective=["cross_entropy"], controls=["labels"])
    report = report_of(plan, tmp_path / "run")
    verdict, models = report["verdict"], report["models"]
    assert (verdict["gain"], verdict["values"]) == (0.0, [0.0, 0.0])
    assert verdict["outcome"] in {"equal", "unclear"}
    assert models["student"]["checksum"] == models["labels"]["checksum"]
    assert models["student"]["metrics"] == models["labels"]["metrics"]


def test_two_hundred_null_pairs_seldom_help() -> None:
    dice = np.random.default_rng(11)
    outcomes = []
    for _ in range(200):
        ease = dice.normal(2.0, 1.5, 300)
        pair = [
            (ease + dice.normal(0, 0.3, (4, 1)) + dice.logistic(size=(4, 300)) > 0).astype(np.float64) for _ in range(2)
        ]
        verdict = judge(pair[0], {"labels": pair[1]}, validation={"labels": 1.0}, teacher=None)
        outcomes.append(verdict.outcome)
    assert outcomes.count("helped") <= 10
    assert outcomes.count("hurt") <= 10


def planted(rates: dict[str, float], plan: Plan, monkeypatch: pytest.MonkeyPatch) -> assessing.Findings:
    """Return the findings on models that are right at these rates, on samples of a shared difficulty."""
    dice, count = np.random.default_rng(3), len(plan.data.test)
    labels = plan.data.test.labels.numpy()
    shared = dice.random(count)
    answers, chains = {}, Chains({"student": {}})
    for role, rate in rates.items():
        seeds = plan.seeds[:1] if role == "teacher" else plan.seeds
        hits = np.stack([0.8 * shared + 0.2 * dice.random(count) < rate for _ in seeds])
        chosen = np.where(hits, labels, (labels + 1) % 10)
        answers[role] = Answers(np.eye(10)[chosen] * 0.9 + 0.01, seeds, labels)
        by_seed = {
            seed: jobs.Trained(None, Path(role), Progress(step=9, best_accuracy=rate), seed, 1.0, 9, False, 100)  # type: ignore[arg-type]
            for seed in seeds
        }
        if role != "teacher":
            chains.fits["student"][role] = by_seed
        else:
            teachers = by_seed
    monkeypatch.setattr(assessing, "ask", lambda trained, *_: answers[next(iter(trained.values())).folder.name])
    return assessing.assess(plan, teachers, chains)


RATES = {"teacher": 0.95, "labels": 0.8, "smoothing": 0.79, "teacher_labels": 0.8}


@pytest.mark.parametrize(("student", "outcome"), [(0.9, "helped"), (0.7, "hurt"), (0.8, "equal")])
def test_the_verdict_follows_the_figures(student: float, outcome: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_of(seeds=4, margin=0.05)
    verdict = planted({**RATES, "student": student}, plan, monkeypatch).verdicts["student"]
    assert verdict.outcome == outcome
    assert verdict.against == "labels"
    assert verdict.gain == pytest.approx(student - 0.8, abs=0.03)
    assert verdict.over_teacher_labels is not None
    assert np.sign(round(verdict.over_teacher_labels["gain"], 1)) == np.sign(round(student - 0.8, 1))


def test_turning_the_figures_around_turns_the_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_of(seeds=4)
    better = planted({"teacher": 0.95, "student": 0.9, "labels": 0.7}, plan, monkeypatch).verdicts["student"]
    worse = planted({"teacher": 0.95, "student": 0.7, "labels": 0.9}, plan, monkeypatch).verdicts["student"]
    assert (better.outcome, worse.outcome) == ("helped", "hurt")
    assert better.gap_closed == pytest.approx(0.8, abs=0.15)
    assert worse.gain < 0 < better.gain


def test_the_opponent_is_chosen_on_validation_and_has_no_teacher(monkeypatch: pytest.MonkeyPatch) -> None:
    rates = {"teacher": 0.95, "student": 0.8, "labels": 0.7, "smoothing": 0.75, "teacher_labels": 0.9}
    verdict = planted(rates, plan_of(seeds=4), monkeypatch).verdicts["student"]
    assert verdict.against == "smoothing"
    assert verdict.outcome == "helped"
    assert verdict.over_teacher_labels is not None
    assert verdict.over_teacher_labels["outcome"] == "hurt"


def test_without_controls_there_is_no_verdict(tmp_path: Path) -> None:
    report = report_of(plan_of(controls=[]), tmp_path / "run")
    assert report["verdict"] is None
    assert set(report["models"]) == {"teacher", "student"}
    assert report["stages"][0]["verdict"] is None


def test_the_counted_teacher_forwards_are_those_that_happened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Callable[[], int]] = []
    real = fits.Workshop.teacher

    def teacher(self: fits.Workshop, trained: Any) -> Any:
        found = real(self, trained)
        asked.append(lambda: found.asked)
        return found

    monkeypatch.setattr(fits.Workshop, "teacher", teacher)
    data = {"source": "digits", "augment": [{"shift": {"pixels": 1}}], "views": 2}
    report = report_of(plan_of(data=data, student__train={"epochs": 3, "batch_size": 256}), tmp_path / "two")
    assert sum(count() for count in asked) == report["cost"]["teacher_forwards"] == 2 * 1438
    asked.clear()
    data["views"] = "fresh"
    report = report_of(plan_of(data=data, student__train={"epochs": 3, "batch_size": 256}), tmp_path / "fresh")
    fits_taught, shape_check = 4, 2
    assert sum(count() for count in asked) == report["cost"]["teacher_forwards"] + fits_taught * shape_check
