"""A fit with a frozen body sees the body's features, and comes to what it comes to with the whole model."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import limbeck
from limbeck.errors import Failure, FolderError
from limbeck.knowledge.shards import shards_in, write_shard
from limbeck.knowledge.store import Store
from limbeck.models.adapt import Adapted
from limbeck.run import jobs
from limbeck.run.folder import REPORT
from limbeck.train import loop

BASE = """\
name: base
seeds: 1
data: {source: digits}
student: {model: {cnn: {width: 4, dropout: 0.2}}, train: {epochs: 1, lr: 0.01}}
objective: [cross_entropy]
controls: []
export: {onnx: false}
"""
PROBE = """\
name: probe
seeds: 2
data: {source: digits, labels_per_class: 20, augment: [shift: {pixels: 1}], views: 3}
student: {source: "run:BASE", model: {cnn: {width: 4, dropout: 0.2}}}
stages:
  - {name: probe, from: scratch, freeze: [backbone], objective: [cross_entropy], train: {epochs: 4, batch_size: 32}}
controls: [labels, smoothing]
export: {onnx: false}
"""
LABELLED, VALIDATION = 180, 20  # of 20 labels a class; the others validate

Run = Callable[..., "Ran"]


class Ran:
    """A finished run: its report, the inputs that each fit was given, and how often the body was asked for features."""

    def __init__(self, folder: Path, shapes: list[tuple[int, ...]], asked: int) -> None:
        self.folder, self.shapes, self.asked = folder, shapes, asked
        self.report = json.loads((folder / REPORT).read_text())
        lines = (folder / "metrics.jsonl").read_text().splitlines()
        self.losses = [record["loss"] for record in map(json.loads, lines)]

    @property
    def kept(self) -> Any:
        return self.report["stages"][0]["frozen"]["features"]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("base")
    (place / "base.yaml").write_text(BASE)
    return limbeck.run_recipe(place / "base.yaml", out=place / "base", progress=False).folder


@pytest.fixture
def run(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick_page: None) -> Run:
    """Run the probe with changes and a cache of its own."""
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / "cache"))
    (tmp_path / "probe.yaml").write_text(PROBE.replace("BASE", str(base)))
    count = [0]

    def go(*changes: str, out: str | None = None, **how: Any) -> Ran:
        count[0] += 1
        shapes: list[tuple[int, ...]] = []
        real = loop.fit

        def noting(model: Adapted, objective: Any, lesson: loop.Lesson, *given: Any, **named: Any) -> Any:
            shapes.append(lesson.samples.shape)
            return real(model, objective, lesson, *given, **named)

        asked = [0]
        with monkeypatch.context() as patched:
            patched.setattr(jobs, "fit", noting)
            patched.setattr(
                "limbeck.cli.progress.Bars.computed", lambda self, number, of: asked.__setitem__(0, asked[0] + number)
            )
            folder = tmp_path / (out or f"run{count[0]}")
            folder = limbeck.run_recipe(tmp_path / "probe.yaml", changes, out=folder, progress=False, **how).folder
        return Ran(folder, shapes, asked[0])

    return go


def stores(place: Path) -> list[Path]:
    return sorted((place / "cache" / "knowledge").glob("*/manifest.json"))


def without_controls_of_before(place: Path) -> None:
    """Forget the controls that were trained, so that they are again."""
    os.rename(place / "cache" / "controls", place / f"forgotten{len(list(place.iterdir()))}")


def test_losses_and_figures_are_those_of_the_whole_model(run: Run) -> None:
    live, probed = run("knowledge.mode=live"), run()
    assert (live.kept, probed.kept) == (None, "stored")
    assert set(live.shapes) == {(1, 8, 8)} and set(probed.shapes) == {(8,)}
    np.testing.assert_allclose(probed.losses, live.losses, rtol=1e-4)
    for name in ("student", "labels"):
        one, other = (each.report["models"][name]["metrics"] for each in (probed, live))
        np.testing.assert_allclose(one["nll"]["values"], other["nll"]["values"], rtol=1e-4)
    frozen = [each.report["stages"][0]["frozen"] for each in (live, probed)]
    assert frozen[0]["checksum"] == frozen[1]["checksum"] and len(frozen[0]["checksum"]) == 64


def test_several_layers_that_learn_from_a_vector_have_the_losses_of_the_whole_model(run: Run) -> None:
    stage = (
        "{name: tune, from: scratch, freeze: [body.1], objective: [cross_entropy], train: {epochs: 3, batch_size: 32}}"
    )
    told = ("student.source=null", "student.model={mlp: {hidden: [9, 6], dropout: 0.3}}", f"stages=[{stage}]")
    live, kept = run("knowledge.mode=live", *told), run(*told)
    assert (live.kept, kept.kept) == (None, "memory") and set(kept.shapes) == {(9,)}
    np.testing.assert_allclose(kept.losses, live.losses, rtol=1e-4)
    assert live.report["stages"][0]["frozen"]["checksum"] == kept.report["stages"][0]["frozen"]["checksum"]


def test_all_seeds_controls_and_later_runs_share_one_store(run: Run, tmp_path: Path) -> None:
    first = run()
    drawn = 2 * (3 * LABELLED + VALIDATION)  # of both seeds, some twice
    assert 0.8 * drawn < first.asked <= drawn
    assert len(stores(tmp_path)) == 1
    without_controls_of_before(tmp_path)
    again = run("stages=[{name: other, from: scratch, freeze: [backbone], objective: [cross_entropy], "
                "train: {epochs: 6, batch_size: 16}}]")  # fmt: skip
    assert again.asked == 0 and set(again.shapes) == {(8,)}
    assert len(stores(tmp_path)) == 1
    without_controls_of_before(tmp_path)
    same = run()
    assert same.asked == 0 and same.losses == first.losses


def test_where_features_are_kept_changes_no_figure(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = run("knowledge.mode=stored")
    without_controls_of_before(tmp_path)
    memory = run("knowledge.mode=memory")
    monkeypatch.setenv("LIMBECK_CACHE", "off")
    off = run()
    assert [one.kept for one in (stored, memory, off)] == ["stored", "memory", "memory"]
    np.testing.assert_allclose(memory.losses, stored.losses, rtol=1e-5)
    np.testing.assert_allclose(off.losses, stored.losses, rtol=1e-5)


def test_features_too_large_for_memory_are_read_from_the_store(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    resident = run()
    monkeypatch.setattr("limbeck.run.probes.LIMIT_BYTES", 1000)
    read = run("controls=[]")
    assert read.asked == 0 and read.kept == "stored"
    records = len(read.losses)
    assert read.losses == resident.losses[:records]
    monkeypatch.setenv("LIMBECK_CACHE", "off")
    assert run("controls=[]").kept is None  # no room anywhere


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        ("data.views=fresh", None),
        ("objective.cross_entropy.weight=0.5", "stored"),
        ("train.steps=1", None),  # the body would be asked for more than is shown
        ("objective=[cross_entropy, weight_penalty, entropy_penalty]", "stored"),
        ("objective=[adversarial_cross_entropy: {epsilon: 0.1, step_size: 0.1, steps: 1}]", None),  # it needs pixels
        ("freeze=[body*.0*]", None),
    ],
)
def test_when_it_applies(run: Run, change: str, kept: str | None) -> None:
    before, _, value = change.partition("=")
    known = {"freeze": "[backbone]", "objective": "[cross_entropy]", "train": "{epochs: 4, batch_size: 32}"}
    changes = ["controls=[]", "seeds=1"]
    if before == "data.views":
        changes.append(change)
    elif before == "train.steps":
        known["train"] = "{steps: 1, batch_size: 32}"
    elif before == "objective.cross_entropy.weight":
        known["objective"] = "[cross_entropy: {weight: 0.5}]"
    else:
        known[before] = value
    told = ", ".join(f"{key}: {one}" for key, one in known.items())
    found = run(*changes, f"stages=[{{name: probe, from: scratch, {told}}}]")
    assert found.kept == kept
    assert set(found.shapes) == {(8,) if kept else (1, 8, 8)}


def test_a_body_that_was_trained_in_the_run_is_kept_in_memory(run: Run, tmp_path: Path) -> None:
    stages = (
        "stages=[{name: base, from: scratch, objective: [cross_entropy], train: {epochs: 1}}, "
        "{name: probe, freeze: [backbone], objective: [cross_entropy], train: {epochs: 3, batch_size: 32}}]"
    )
    found = run(stages, "controls=[]")
    assert found.report["stages"][1]["frozen"]["features"] == "memory"
    assert not stores(tmp_path)


def test_a_student_may_be_taught_meanwhile(run: Run) -> None:
    taught = (
        "teacher={model: {mlp: {hidden: [16]}}, train: {epochs: 2, lr: 0.01}}",
        "stages=[{name: probe, from: scratch, freeze: [backbone], objective: [soft_labels, cross_entropy], "
        "train: {epochs: 4, batch_size: 32}}]",
        "seeds=1",
    )
    probed = run(*taught, "knowledge.mode=memory")
    assert probed.kept == "memory"
    one = run(*taught, "knowledge.mode=live")
    assert one.kept is None
    metrics = [each.report["models"]["student"]["metrics"]["nll"]["mean"] for each in (probed, one)]
    assert metrics[0] == pytest.approx(metrics[1], rel=1e-2)  # kept answers of the teacher are fp16


def test_an_interrupted_fit_goes_on_to_the_same_figures(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run("controls=[]", "seeds=1", "knowledge.mode=memory")
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", -1.0)
    real, left = loop.save_checkpoint, [9]

    def stopping(*given: Any, **named: Any) -> None:
        real(*given, **named)
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(loop, "save_checkpoint", stopping)
        with pytest.raises(KeyboardInterrupt):
            run("controls=[]", "seeds=1", "knowledge.mode=memory", out="broken")
    again = run("controls=[]", "seeds=1", "knowledge.mode=memory", out="broken", resume=True)
    assert again.losses == whole.losses


def test_features_that_are_not_the_bodys_stop_the_run(run: Run, tmp_path: Path) -> None:
    run()
    store = Store(stores(tmp_path)[0].parent)
    for shard in shards_in(store.folder):
        records = np.array(shard.map(store.form.dtype))
        records["vector"] += 1
        shard.path.unlink()
        write_shard(store.folder, records)
    with pytest.raises(FolderError, match=r"is not what the teacher says now: 32 of 32 answers"):
        run("controls=[]")


def test_a_body_that_moves_is_found_out_all_the_same(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    real = jobs.fit

    def moving(model: Adapted, *given: Any, **named: Any) -> Any:
        found = real(model, *given, **named)
        with torch.no_grad():
            for body in bodies:
                next(body.net.parameters()).add_(1.0)
        return found

    bodies: list[Adapted] = []
    freeze = jobs.freeze
    monkeypatch.setattr(jobs, "freeze", lambda model, *given: (bodies.append(model), freeze(model, *given)))
    monkeypatch.setattr(loop, "fit", moving)
    with pytest.raises(Failure, match="Frozen weights or buffers of student changed"):
        run("controls=[]", "seeds=1")
