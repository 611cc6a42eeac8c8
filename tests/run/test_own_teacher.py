"""Stages that an earlier stage teaches: who teaches, what it says, and that nothing else changes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.run.stopping import Stopping, figures

from limbeck.models.weights import checksum
from limbeck.preflight.checks import preflight
from limbeck.recipe.load import parse_recipe
from limbeck.run import beside, jobs, pipeline
from limbeck.run.own_teacher import hears_the_teacher, lineage
from limbeck.run.plan import Plan, plan_from_recipe
from limbeck.run.reload import load_model
from limbeck.run.stage_plan import count_of_teaching
from limbeck.teachers.module import ModuleTeacher
from limbeck.train import loop

CHAIN = """\
name: chain
seeds: 2
data: {source: digits, classes: [3, 5, 8], augment: [shift: {pixels: 1}], views: 2}
teacher: {model: {mlp: {hidden: [32]}}, train: {steps: 60, lr: 0.01}}
student: {model: {mlp: {hidden: [4]}}, train: {steps: 24, batch_size: 64, lr: 0.01}}
stages:
  - {name: assistant, from: scratch, student: {model: {mlp: {hidden: [12]}}}, objective: [soft_labels, cross_entropy]}
  - {name: direct, from: scratch, objective: [soft_labels, cross_entropy]}
  - {name: by-assistant, from: scratch, teacher: assistant, objective: [soft_labels, cross_entropy]}
controls: [labels, teacher_labels]
export: {onnx: false}
"""
AGAIN = """\
name: again
seeds: 2
data: {source: digits, classes: [3, 5, 8]}
student: {model: {mlp: {hidden: [6]}}, train: {steps: 24, batch_size: 64, lr: 0.01}}
stages:
  - {name: first, from: scratch, objective: [cross_entropy]}
  - {name: second, from: scratch, teacher: first, objective: [soft_labels, cross_entropy]}
  - {name: third, from: scratch, teacher: second, objective: [soft_labels, cross_entropy]}
controls: [labels]
export: {onnx: false}
"""


def plan_of(text: str) -> Plan:
    return plan_from_recipe(parse_recipe(text))


class Lessons:
    """Notes which teacher every fit heard, by folder."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.teachers: dict[str, Any] = {}
        real = jobs.fit

        def noting(*given: Any, **named: Any) -> Any:
            self.teachers[str(named["checkpoint"].parent)] = named["teacher"]
            return real(*given, **named)

        monkeypatch.setattr(jobs, "fit", noting)

    def of(self, folder: Path) -> Any:
        return self.teachers[str(folder)]


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Lessons, Plan]:
    """A finished chain teacher, assistant, student, its answers stored in a cache; and who taught each fit."""
    place, plan = tmp_path_factory.mktemp("chain"), plan_of(CHAIN + "knowledge: {mode: stored}\n")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("LIMBECK_CACHE", str(place / "cache"))
        patched.setattr(pipeline, "render_html", lambda report: "page")
        lessons = Lessons(patched)
        return pipeline.run(plan, out=place / "run"), lessons, plan


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("role", ["student", "controls/teacher_labels"])
def test_a_stage_hears_the_student_of_the_same_seed(chain: tuple[Path, Lessons, Plan], seed: int, role: str) -> None:
    folder, lessons, plan = chain
    assistant = load_model(folder / f"stages/assistant/student/seeds/{seed}")
    pool, rows = plan.data.pool, plan.data.train[:40]
    batch = pool.batch(rows, view=torch.ones_like(rows), views=plan.views)
    heard = lessons.of(folder / role / "seeds" / str(seed))
    with torch.no_grad():
        wanted = assistant(batch.inputs).logits
    assert torch.allclose(heard(batch).logits, wanted, atol=0.02)
    first = lessons.of(folder / f"stages/direct/student/seeds/{seed}")
    assert first.fingerprint != heard.fingerprint
    assert not torch.allclose(first(batch).logits, wanted, atol=0.02)


def test_only_the_first_teachers_answers_are_stored(chain: tuple[Path, Lessons, Plan]) -> None:
    folder, _, plan = chain
    (manifest,) = (folder.parent / "cache").glob("knowledge/*/manifest.json")
    teacher = ModuleTeacher(load_model(folder / "teacher"), plan.data.pool.batch(plan.data.train[:8]).inputs)
    assert json.loads(manifest.read_text())["teacher"] == teacher.fingerprint
    samples, seeds, views = len(plan.data.pool), 2, 2
    assert figures(folder)["cost"]["teacher_forwards"] == samples * views * (1 + seeds)


def test_the_report_tells_who_taught_whom(chain: tuple[Path, Lessons, Plan]) -> None:
    folder = chain[0]
    report = figures(folder)
    assert [stage["teacher"] for stage in report["stages"]] == [None, None, "assistant"]
    models = report["models"]
    assert models["assistant/student"]["architecture"] == "mlp(hidden=[12])"
    assert models["assistant/labels"]["parameters"] == models["assistant/student"]["parameters"]
    assert models["student"]["architecture"] == models["labels"]["architecture"] == "mlp(hidden=[4])"
    assert models["student"]["parameters"] < models["assistant/student"]["parameters"]
    assert "by-assistant, taught by assistant" in (folder / "report.md").read_text("utf-8")
    assert any("The teacher here is the student of stage assistant, " in note for note in report["verdict"]["notes"])


def test_controls_without_a_teacher_are_those_of_direct_distillation(chain: tuple[Path, Lessons, Plan]) -> None:
    report = figures(chain[0])
    assistant, direct, by_assistant = (stage["controls"] for stage in report["stages"])
    assert direct["labels"] == by_assistant["labels"] == "labels"
    assert assistant["labels"] == "assistant/labels"
    assert direct["teacher_labels"] == "direct/teacher_labels" and by_assistant["teacher_labels"] == "teacher_labels"
    steps = {model["steps"] for name, model in report["models"].items() if name != "teacher"}
    assert steps == {24}


@pytest.mark.parametrize("mode", ["live", "memory"])
def test_where_answers_are_kept_changes_little(
    chain: tuple[Path, Lessons, Plan], mode: str, tmp_path: Path, quick_page: None
) -> None:
    stored = chain[0]
    other = pipeline.run(plan_of(CHAIN + f"knowledge: {{mode: {mode}}}\n"), out=tmp_path / "run")
    for seed in (0, 1):
        mine, theirs = (load_model(one / f"student/seeds/{seed}").net.state_dict() for one in (stored, other))
        for name, value in mine.items():
            assert torch.allclose(value, theirs[name], atol=0.02), name
    if mode == "memory":
        assert figures(other)["models"] == figures(stored)["models"]


def test_generations_need_no_teacher_section(tmp_path: Path, quick_page: None, monkeypatch: pytest.MonkeyPatch) -> None:
    lessons = Lessons(monkeypatch)
    folder = pipeline.run(plan_of(AGAIN), out=tmp_path / "run")
    report = figures(folder)
    assert "teacher" not in report["models"]
    assert report["verdict"]["gap_closed"] is None
    assert lessons.of(folder / "stages/first/student/seeds/1") is None
    for before, after in (("stages/first/student", "stages/second/student"), ("stages/second/student", "student")):
        taught = lessons.of(folder / after / "seeds/1")
        assert checksum(taught.teacher.model.net) == checksum(load_model(folder / before / "seeds/1").net)
    assert [stage["controls"]["labels"] for stage in report["stages"]] == ["first/labels", "labels", "labels"]
    assert not any("labels that this run knows nothing of" in note for note in report["verdict"]["notes"])


@pytest.mark.parametrize("stop", [3, 9, 20, 38, 49])
def test_a_chain_that_was_stopped_goes_on_to_the_same_figures(
    chain: tuple[Path, Lessons, Plan], stop: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick_page: None
) -> None:
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / "cache"))
    with pytest.raises(KeyboardInterrupt):
        pipeline.run(plan_of(CHAIN + "knowledge: {mode: stored}\n"), out=tmp_path / "run", watcher=Stopping(stop))
    resumed = pipeline.run(plan_of(CHAIN + "knowledge: {mode: stored}\n"), out=tmp_path / "run", resume=True)
    assert figures(resumed) == figures(chain[0])
    for path in chain[0].rglob("*.safetensors"):
        assert (resumed / path.relative_to(chain[0])).read_bytes() == path.read_bytes(), path


def test_helpers_change_no_figure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick_page: None) -> None:
    found, threads = [], torch.get_num_threads()
    torch.set_num_threads(2)
    for name, worth in (("helped", 1), ("alone", 10**9)):
        monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / f"{name}-cache"))
        monkeypatch.setattr(beside, "WORTH_STEPS", worth)
        found.append(figures(pipeline.run(plan_of(CHAIN), out=tmp_path / name)))
    torch.set_num_threads(threads)
    assert found[0] == found[1]


@pytest.mark.parametrize("text", [CHAIN, AGAIN], ids=["chain", "again"])
def test_check_finds_no_fault(text: str) -> None:
    found = preflight(plan_of(text))
    assert not [finding for finding in found if finding.level == "fault"]
    tried = " ".join(finding.sentence for finding in found if finding.name == "learning_rate")
    assert all(f"trial steps of stage {stage.name} " in tried for stage in plan_of(text).stages)


def test_lineage() -> None:
    plan = plan_of(CHAIN)
    _, direct, last = plan.stages
    assert [stage.name for stage in lineage(plan, last)] == ["by-assistant", "assistant"]
    assert [stage.name for stage in lineage(plan, direct)] == ["direct"]
    assert all(hears_the_teacher(plan, stage) for stage in plan.stages), "by way of the assistant"
    assert not any(hears_the_teacher(plan_of(AGAIN), stage) for stage in plan_of(AGAIN).stages)
    assert (count_of_teaching(plan.stages), count_of_teaching(plan_of(AGAIN).stages)) == (1, 2)


def test_each_variant_counts_what_it_asked(tmp_path: Path, quick_page: None) -> None:
    text = CHAIN.replace("seeds: 2", "seeds: 1").replace("views: 2", "views: 1")
    plan = plan_of(text + "knowledge: {mode: memory}\nsweep: {stages.by-assistant.train.lr: [0.001, 0.01]}\n")
    folder = pipeline.run(plan, out=tmp_path / "run")
    assert figures(folder)["cost"]["teacher_forwards"] == (1 + 2) * len(plan.data.pool)
