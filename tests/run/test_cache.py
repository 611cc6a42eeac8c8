"""Controls from the cache: the same figures without training, and never where they might differ."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import limbeck
from limbeck.run import cache, jobs

RECIPE = """\
name: cached
seeds: 2
data: {source: digits}
teacher: {model: {mlp: {hidden: [32]}}, train: {epochs: 4, lr: 0.01}}
student: {model: {mlp: {hidden: [8]}}, train: {epochs: 2, lr: 0.01}}
objective: [soft_labels: {weight: 0.9}, cross_entropy: {weight: 0.1}]
export: {onnx: false}
"""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick_page: None) -> Any:
    """Run the recipe with changes, with a cache of its own; gives the report and the names that were trained."""
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / "cache"))
    (tmp_path / "r.yaml").write_text(RECIPE)
    real, trained, count = jobs.fit, [], [0]

    def spied(*arguments: Any, **options: Any) -> Any:
        trained.append(options["name"])
        return real(*arguments, **options)

    monkeypatch.setattr(jobs, "fit", spied)

    def go(*changes: str) -> tuple[dict[str, Any], list[str]]:
        trained.clear()
        count[0] += 1
        result = limbeck.run_recipe(tmp_path / "r.yaml", changes, out=tmp_path / f"run{count[0]}", progress=False)
        return result.report, sorted(set(trained))

    return go


def test_another_temperature_trains_no_free_control_again(run: Any) -> None:
    first, trained = run()
    assert trained == ["labels", "smoothing", "student", "teacher", "teacher_labels"]
    assert first["cost"]["controls_from_cache"] == 0
    second, trained = run("objective.soft_labels.temperature=2")
    assert trained == ["student", "teacher"]
    assert second["cost"]["controls_from_cache"] == 6
    for name in ("labels", "smoothing", "teacher_labels"):
        assert second["models"][name]["metrics"] == first["models"][name]["metrics"]
        assert second["models"][name]["checksum"] == first["models"][name]["checksum"]
    assert second["curves"]["labels"] == first["curves"]["labels"]


@pytest.mark.parametrize(
    "change",
    ["seed=7", "student.train.lr=0.02", "student.model.mlp.hidden=[9]", "data.labels_per_class=20",
     "data.split_seed=1", "student.normalise=none", "data.augment=[shift]", "student.train.epochs=3"],
)  # fmt: skip
def test_what_decides_the_result_is_part_of_the_key(run: Any, change: str) -> None:
    run()
    report, trained = run(change)
    assert "labels" in trained
    assert report["cost"]["controls_from_cache"] == 0


def test_another_teacher_trains_the_hard_label_control_again(run: Any) -> None:
    run()
    _, trained = run("teacher.train.epochs=3")
    assert trained == ["student", "teacher", "teacher_labels"]


def test_a_cache_that_cannot_be_used_harms_nothing(run: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / "file"))
    report, trained = run()
    assert "labels" in trained
    assert report["verdict"] is not None


def test_a_damaged_entry_is_trained_again(run: Any, tmp_path: Path) -> None:
    first, _ = run()
    for weights in (tmp_path / "cache").rglob("model.safetensors"):
        weights.write_bytes(weights.read_bytes()[:-4] + b"\0\1\2\3")
    second, trained = run()
    assert "labels" in trained
    assert second["models"]["labels"]["checksum"] == first["models"]["labels"]["checksum"]


def test_a_truncated_record_is_trained_again(run: Any, tmp_path: Path) -> None:
    run()
    for record in (tmp_path / "cache").rglob("fit.json"):
        record.write_text(record.read_text()[:40])
    _, trained = run()
    assert "labels" in trained


def test_a_teacher_with_another_normalisation_is_another_teacher(run: Any) -> None:
    run()
    _, trained = run("teacher.normalise=none")
    assert "teacher_labels" in trained
    assert "labels" not in trained


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LIMBECK_CACHE", "off")
    assert cache.cache_folder() is None
    assert cache.fetch("key", tmp_path) is None
    assert not cache.keep("key", tmp_path, ())
    monkeypatch.setenv("LIMBECK_CACHE", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("sys.platform", "linux")
    assert cache.cache_folder() == tmp_path / "limbeck"
    monkeypatch.setattr("sys.platform", "darwin")
    assert cache.cache_folder() == Path.home() / "Library" / "Caches" / "limbeck"
