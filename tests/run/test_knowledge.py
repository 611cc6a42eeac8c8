"""What a run asks its teacher, whatever way it hears it, and what a later run asks again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import limbeck
from limbeck.errors import ObjectiveError, UserError

RECIPE = """\
name: known
seeds: 2
data: {source: digits, augment: [shift: {pixels: 1}], views: 2}
teacher: {model: {mlp: {hidden: [16]}}, train: {epochs: 1, lr: 0.01}}
student: {model: {mlp: {hidden: [8]}}, train: {epochs: 3, lr: 0.01}}
objective: [soft_labels: {weight: 0.9}, cross_entropy: {weight: 0.1}]
controls: [labels, teacher_labels]
export: {onnx: false}
"""
POOL, VIEWS = 1438, 2

Run = Callable[..., dict[str, Any]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick_page: None) -> Run:
    """Run the recipe with changes and a cache of its own; gives the report's cost, and the student's figures."""
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / "cache"))
    (tmp_path / "r.yaml").write_text(RECIPE)
    count = [0]

    def go(*changes: str, out: str | None = None, **how: Any) -> dict[str, Any]:
        count[0] += 1
        folder = tmp_path / (out or f"run{count[0]}")
        report = limbeck.run_recipe(tmp_path / "r.yaml", changes, out=folder, progress=False, **how).report
        return {**report["cost"], "student": report["models"]["student"]["metrics"]["nll"]["values"]}

    return go


def stores(place: Path) -> list[Path]:
    return sorted((place / "cache" / "knowledge").iterdir())


def test_a_second_student_objective_or_temperature_asks_nothing(run: Run, tmp_path: Path) -> None:
    first = run()
    assert (first["teacher_forwards"], first["teacher_spot_checks"]) == (VIEWS * POOL, 0)
    assert first["knowledge"].startswith("The teacher's answers: stored (")
    for change in (
        "objective.soft_labels.temperature=2",
        "student.model={mlp: {hidden: [4]}}",
        "objective=[logit_matching, cross_entropy]",
        "seeds=3",
    ):
        again = run(change)
        assert again["teacher_forwards"] == 0
        assert again["teacher_spot_checks"] == 32
        assert "all known already" in again["knowledge"]
    assert len(stores(tmp_path)) == 1


def test_another_teacher_or_augmentation_has_a_store_of_its_own(run: Run, tmp_path: Path) -> None:
    run()
    for number, change in enumerate(("teacher.train.epochs=2", "data.augment=[flip]", "seed=1"), 2):
        assert run(change)["teacher_forwards"] == VIEWS * POOL
        assert len(stores(tmp_path)) == number


def test_where_answers_are_kept_changes_no_figure(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    stored, again, memory = run(), run(), run("knowledge.mode=memory")
    monkeypatch.setenv("LIMBECK_CACHE", "off")
    off, inside = run(), run("knowledge.mode=stored")
    assert stored["student"] == again["student"] == memory["student"] == off["student"] == inside["student"]
    assert off["knowledge"].startswith("The teacher's answers: in memory (")
    asked = [one["teacher_forwards"] for one in (stored, again, memory, off, inside)]
    assert asked == [VIEWS * POOL, 0, VIEWS * POOL, VIEWS * POOL, VIEWS * POOL]
    live = run("knowledge.mode=live")
    assert live["teacher_forwards"] == 2 * 2 * 3 * 10 * 128  # roles, seeds, epochs, steps, batch
    assert live["student"] == pytest.approx(stored["student"], rel=1e-2)


def test_fresh_views_are_asked_about_live(run: Run) -> None:
    cost = run("data.views=fresh")
    assert "every showing is a new view" in cost["knowledge"]
    assert cost["teacher_forwards"] == 2 * 2 * 3 * 10 * 128
    with pytest.raises(
        UserError, match=r"knowledge.mode stored keeps answers, but data.views: fresh never shows a view"
    ):
        run("data.views=fresh", "knowledge.mode=stored")


def test_a_place_of_ones_own(run: Run, tmp_path: Path) -> None:
    place = f"knowledge.path={tmp_path / 'mine'}"
    assert run(place)["teacher_forwards"] == VIEWS * POOL
    assert run(place)["teacher_forwards"] == 0
    assert not (tmp_path / "cache" / "knowledge").exists()
    with pytest.raises(
        UserError, match=r"mine is not this run's: the teacher \(.*\) differs. Leave out knowledge.path"
    ):
        run(place, "teacher.train.epochs=2")
    with pytest.raises(UserError, match=r"knowledge.path names one folder, but 2 teachers are trained"):
        run(place, "teacher.per_seed=true")


def test_a_temperature_that_is_learned_needs_more_than_the_top_k(run: Run) -> None:
    with pytest.raises(UserError, match="^knowledge.top_k keeps the sum .* but curriculum_soft_labels learns its own"):
        run("knowledge.top_k=3", "objective=[curriculum_soft_labels]")
    assert run("objective=[curriculum_soft_labels]", "seeds=1")["student"]


def test_the_top_k_of_an_answer(run: Run) -> None:
    top = run("knowledge.top_k=10")
    assert top["student"] == pytest.approx(run()["student"], rel=1e-3)
    with pytest.raises(ObjectiveError, match=r"has the temperature 3, but of 10 classes .* to knowledge.temperatur"):
        run("knowledge.top_k=3", "objective.soft_labels.temperature=3")
    assert run("knowledge.top_k=3", "objective.soft_labels.temperature=3", "knowledge.temperatures=[1, 3]")


def test_a_resumed_run_keeps_its_choice_and_counts_on(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*given: Any, **options: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("limbeck.run.pipeline.judge_points", stop)
        with pytest.raises(KeyboardInterrupt):
            run(out="broken")
    kept = json.loads((tmp_path / "broken" / "knowledge.json").read_text())
    cost = run(out="broken", resume=True)
    assert cost["teacher_forwards"] == VIEWS * POOL
    assert cost["knowledge"] == kept["sentence"]


def test_a_store_that_is_not_the_teachers_stops_the_run(run: Run, tmp_path: Path) -> None:
    import numpy as np

    from limbeck.knowledge.shards import shards_in, write_shard
    from limbeck.knowledge.store import Store

    run()
    store = Store(stores(tmp_path)[0])
    for shard in shards_in(store.folder):
        records = np.array(shard.map(store.form.dtype))
        records["logits"] += 1
        shard.path.unlink()
        write_shard(store.folder, records)
    with pytest.raises(UserError, match=r"is not what the teacher says now: 32 of 32 answers"):
        run("objective.soft_labels.temperature=2")
