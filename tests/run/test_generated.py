"""A student that learns from generated samples alone: no real one reaches it, and it beats the same on noise."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from limbeck.data.samples import Samples
from limbeck.errors import FolderError, RecipeError
from limbeck.models.weights import checksum
from limbeck.recipe.load import parse_recipe
from limbeck.recipe.tasks import STAND_INS
from limbeck.run.fits import open_workshop
from limbeck.run.generated import generated
from limbeck.run.pipeline import run
from limbeck.run.plan import plan_from_recipe
from limbeck.run.reload import load_model
from limbeck.run.result import read_report
from limbeck.run.speakers import train_teachers
from limbeck.run.watch import Silent
from limbeck.synthesis import synthesise as loop
from limbeck.synthesis.gauges import Gauge
from limbeck.teachers.base import Teacher

RECIPE = """\
name: generated
seeds: {seeds}
data: {{source: {source}, generated: {{{made}}}{more}}}
teacher: {{model: {{cnn: {{width: 8}}}}, train: {{steps: {teacher}, batch_size: 64, lr: 0.01}}}}
student: {{model: {{cnn: {{width: 4}}}}, train: {{steps: {student}, batch_size: 64, lr: 0.01}}}}
objective: [soft_labels]
export: {{onnx: false}}
{end}
"""
TINY = {"source": "digits", "made": "pool: 200, batch: 100, rounds: 8, steps: 4", "more": "", "end": ""}


def recipe(**changed: object) -> str:
    return RECIPE.format(**{"seeds": 1, "teacher": 60, "student": 20, **TINY, **changed})


def test_the_student_sees_generated_samples_and_no_real_one(tmp_path: Path) -> None:
    plan = plan_from_recipe(parse_recipe(recipe()))
    assert plan.controls == ("teacher_labels", "gaussian_noise", "uniform_noise", "matched_noise")
    workshop = open_workshop(plan, tmp_path, Silent(), torch.device("cpu"))
    made = generated(workshop, train_teachers(workshop))
    data = made.plan.data
    assert {name.partition("/")[0] for name in data.pool.ids} == {"generated", *STAND_INS[:3]}
    assert (data.pool.labels == -1).all() and len(data.validation) == 0 and len(data.train) == 200
    assert {data.pool.ids[row].partition("/")[0] for row in data.train.tolist()} == {"generated"}
    for name in STAND_INS[:3]:
        assert {data.pool.ids[row].partition("/")[0] for row in data.shown[name].tolist()} == {name}
    assert not torch.isin(data.pool.contents[data.train], plan.data.pool.contents).any()
    assert data.test is plan.data.test and made.plan.real is plan.data


def test_a_run_tells_of_generated_samples(tmp_path: Path) -> None:
    folder = run(plan_from_recipe(parse_recipe(recipe(end="controls: [matched_noise]"))), out=tmp_path / "run")
    report = read_report(folder)
    assert set(report["models"]) == {"teacher", "student", "gaussian_noise", "matched_noise"}
    assert "generated samples" in report["verdict"]["sentence"]
    told = report["generated"]
    assert (told["samples"], told["rounds"], told["preset"]) == (200, 8, "fast_meta")
    assert [gauge["round"] for gauge in told["gauges"]] == list(range(8))
    assert all(0 <= gauge["agreement"] <= 1 and gauge["statistics_gap"] > 0 for gauge in told["gauges"])
    assert report["cost"]["seconds"]["generating"] == pytest.approx(told["seconds"], abs=0.01)
    assert len(told["pictures"]) == 10 and all(len(one["real"]) == 8 for one in told["pictures"].values())
    assert told["nearest"]["generated"]["least"] > 0 and 0 <= told["nearest"]["nearer_than_1_percent_of_test"] <= 1
    assert (folder / "generated" / "grid.png").read_bytes().startswith(b"\x89PNG")
    assert {path.suffix for path in (folder / "generated").iterdir()} == {".batch", ".json", ".png"}
    assert report["data"]["train"] == 200 and "it sees no real sample" in " ".join(report["data"]["notes"])


def test_a_killed_run_goes_on_to_the_same_student(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_from_recipe(parse_recipe(recipe(end="controls: [gaussian_noise]")))
    whole = run(plan, out=tmp_path / "whole")
    monkeypatch.setattr(loop, "SAVED_SECONDS", 0.0)
    with monkeypatch.context() as killing:
        killing.setattr(loop, "trouble", _kill_in_round_5)
        with pytest.raises(KeyboardInterrupt):
            run(plan, out=tmp_path / "killed")
    assert (tmp_path / "killed" / "generated" / "state.safetensors").is_file()
    again = run(plan, out=tmp_path / "killed", resume=True)
    assert checksum(load_model(again / "student").net) == checksum(load_model(whole / "student").net)


def _kill_in_round_5(gauge: Gauge, classes: int) -> None:
    if gauge.round == 5:
        raise KeyboardInterrupt


EVOLVED = "preset: evolution, pool: 200, queries: 3000"


def test_a_teacher_that_only_answers_is_asked_as_often_as_was_said(tmp_path: Path) -> None:
    whole = recipe(teacher=200, student=200, end="controls: [gaussian_noise]").replace("onnx: false", "onnx: true")
    first = run(plan_from_recipe(parse_recipe(whole)), out=tmp_path / "first")
    graph = next((first / "export").glob("*.onnx"))
    text = recipe(made=EVOLVED, end="controls: [gaussian_noise]").splitlines()
    text[3] = f"teacher: {{source: 'onnx:{graph}'}}"
    plan = plan_from_recipe(parse_recipe("\n".join(text)))
    asked: list[int] = []
    assert plan.black_box is not None
    opened = plan.black_box.open

    def listening(samples: Samples, rows: torch.Tensor) -> Teacher:
        if samples.ids[0].startswith("evolved/"):
            asked.append(len(rows))
        return opened(samples, rows)

    plan = replace(plan, black_box=replace(plan.black_box, open=listening))
    report = read_report(run(plan, out=tmp_path / "run"))
    assert asked == [200] * 15
    told = report["generated"]
    assert (told["preset"], told["samples"], told["rounds"], told["questions"]) == ("evolution", 200, 15, 3000)
    assert "3,000, beside the student's own" in (tmp_path / "run" / "report.md").read_text()
    assert told["gauges"][-1]["parts"]["sure"] > told["gauges"][0]["parts"]["sure"]
    assert {path.suffix for path in (tmp_path / "run" / "generated").iterdir()} == {".batch", ".json", ".png"}
    assert "generated samples" in report["verdict"]["sentence"]


def test_a_model_can_be_asked_alone_too_and_finished_samples_are_read(tmp_path: Path) -> None:
    plan = plan_from_recipe(parse_recipe(recipe(made=EVOLVED)))
    workshop = open_workshop(plan, tmp_path, Silent(), torch.device("cpu"))
    teachers = train_teachers(workshop)
    first = generated(workshop, teachers).pool.inputs
    assert torch.equal(first, generated(workshop, teachers).pool.inputs)


@pytest.mark.parametrize(("made", "said"), [
    ("queries: 400, pool: 200, batch: 100", "queries is for the preset evolution; got fast_meta"),
    ("preset: evolution, pool: 200, queries: 300", "two for each of 200 samples .* got 300"),
])  # fmt: skip
def test_questions_that_cannot_be_asked_are_said(made: str, said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        parse_recipe(recipe(made=made))


def test_samples_that_were_changed_on_disk_are_refused(tmp_path: Path) -> None:
    plan = plan_from_recipe(parse_recipe(recipe()))
    workshop = open_workshop(plan, tmp_path, Silent(), torch.device("cpu"))
    teachers = train_teachers(workshop)
    first = generated(workshop, teachers).pool.inputs
    assert torch.equal(first, generated(workshop, teachers).pool.inputs)
    path = min((tmp_path / "generated").glob("*.batch"))
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(FolderError, match="is not what was written; delete"):
        generated(workshop, teachers)
    manifest = tmp_path / "generated" / "manifest.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "key": "other"}))
    with pytest.raises(FolderError, match="samples of another teacher or recipe"):
        generated(workshop, teachers)


def test_digits_without_data_beat_the_best_noise(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "recipes" / "digits-generated.yaml").read_text()
    text = text.replace("seeds: 3", "seeds: 1") + "controls: [uniform_noise, matched_noise]\nexport: {onnx: false}\n"
    report = read_report(run(plan_from_recipe(parse_recipe(text)), out=tmp_path / "run"))
    assert report["models"]["student"]["metrics"]["accuracy"]["mean"] >= 0.9
    assert report["verdict"]["outcome"] == "helped" and report["verdict"]["ci95"][0] > 0


@pytest.mark.parametrize("preset", ["dafl", "deep_inversion", "cmi", "gan", "noise"])
def test_every_preset_runs(preset: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "trouble", lambda gauge, classes: None)  # after so few steps
    made = f"preset: {preset}, pool: 200, batch: 100, rounds: 4, steps: 3, real: labels"
    text = recipe(made=made, student=5, more=", labels_per_class: 6", end="controls: [labels]")
    report = read_report(run(plan_from_recipe(parse_recipe(text)), out=tmp_path / "run"))
    assert report["models"]["student"]["steps"] == 5 and "labels" in report["models"]
    assert report["data"]["validation_labelled"] == 10


def test_a_vector_teacher_and_a_proxy(tmp_path: Path) -> None:
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    np.savez(tmp_path / "v.npz", x_train=x.astype(np.float32), y_train=y)
    np.savez(tmp_path / "p.npz", x_train=x[::-1, ::-1].astype(np.float32).copy(), y_train=y)
    text = recipe(
        source=f'"npz:{tmp_path}/v.npz"',
        made=f'preset: dafl, pool: 200, batch: 100, rounds: 20, proxy: "npz:{tmp_path}/p.npz"',
        end="controls: [proxy]",
    ).replace("cnn: {width: 8}", "mlp: {hidden: [32]}").replace("cnn: {width: 4}", "mlp: {hidden: [16]}")  # fmt: skip
    report = read_report(run(plan_from_recipe(parse_recipe(text)), out=tmp_path / "run"))
    assert {"student", "proxy", "gaussian_noise"} <= set(report["models"])
    assert report["generated"]["pictures"] is None and report["generated"]["samples"] == 200


def test_fine_tuning_on_true_labels_is_a_stage(tmp_path: Path) -> None:
    text = recipe(
        more=", labels_per_class: 10", made=TINY["made"] + ", real: labels", end="controls: [labels]"
    ).replace(
        "objective: [soft_labels]",
        "stages: [{name: virtual, objective: [soft_labels]}, {name: tune, objective: [cross_entropy]}]",
    )
    report = read_report(run(plan_from_recipe(parse_recipe(text)), out=tmp_path / "run"))
    assert {stage["name"] for stage in report["stages"]} == {"virtual", "tune"}
    assert {"labels", "gaussian_noise", "virtual/gaussian_noise"} <= set(report["models"])


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"made": "preset: gan"}, "the preset gan learns from the real samples that there are; set real: labels"),
        ({"made": "preset: proxy"}, "expected proxy: such as folder:PHOTOS"),
        ({"made": "pool: 10"}, "pool expects room for a batch of 250 samples at least, got 10"),
        ({"made": "weights: {balanse: 1}"}, "got 'balanse'. Did you mean \"balance\"?"),
        ({"more": ", augment: [{shift: {pixels: 1}}]"}, "teacher.train.augment is for the teacher alone"),
        ({"more": ", unlabelled: digits"}, "unlabelled is about real samples of the student, got generated ones"),
        ({"source": '"csv:rows.csv"'}, "generated samples are pictures or vectors (npz:), got a table"),
    ],
)
def test_mistakes_have_sentences(changed: dict[str, object], sentence: str) -> None:
    with pytest.raises(RecipeError) as error:
        parse_recipe(recipe(**changed))
    assert sentence in str(error.value)


@pytest.mark.parametrize(
    ("was", "now", "sentence"),
    [
        ("objective: [soft_labels]", "objective: [soft_labels, cross_entropy]", "generated samples have none of"),
        ("objective: [soft_labels]", "objective: [cross_entropy]", "asks no teacher, so it learns real labels"),
        (
            "model: {cnn: {width: 8}}, train: {steps: 60, batch_size: 64, lr: 0.01}",
            "source: 'onnx:a'",
            "the preset fast_meta looks into the teacher",
        ),
        ("train: {steps: 60", "per_seed: true, train: {steps: 60", "one pool for all seeds"),
    ],
)
def test_what_generated_samples_cannot_have(was: str, now: str, sentence: str) -> None:
    with pytest.raises(RecipeError) as error:
        parse_recipe(recipe().replace(was, now))
    assert sentence in str(error.value)
