"""What a run leaves behind: the folder of the contract, whole and consistent."""

from __future__ import annotations

import base64
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import limbeck
from limbeck.data.contents import AS_FOUND
from limbeck.data.digits import read_digits
from limbeck.errors import FolderError, ModelError, UserError
from limbeck.models import MLP
from limbeck.models.weights import checksum
from limbeck.objectives import CrossEntropy, SoftLabels
from limbeck.recipe.load import parse_recipe
from limbeck.run import chains, pipeline
from limbeck.run.evaluation import evaluate
from limbeck.run.plan import Plan, plan_from_recipe
from limbeck.run.reload import load_model
from limbeck.train.settings import Settings

METRICS = {"accuracy", "worst_class_accuracy", "nll", "brier", "ece", "agreement", "negative_flips"}
MODEL = {
    "role", "name", "title", "architecture", "metrics", "steps", "parameters", "bytes", "macs", "latency_ms",
    "checksum",
}  # fmt: skip
VERDICT = {"outcome", "against", "gain", "ci95", "gap_closed", "sentence"}
TOP = {
    "schema", "limbeck", "name", "created", "task", "primary", "verdict", "models", "export", "cost", "environment",
    "recipe", "data", "seeds", "stages", "curves", "confusion", "reliability", "disagreements", "sweep", "variants",
}  # fmt: skip

BRANCHES = """
name: branches
seeds: 2
data: {source: digits, labels_per_class: 10}
teacher: {model: {mlp: {hidden: [16]}}, train: {epochs: 2, batch_size: 256, lr: 0.01}}
student: {model: {mlp: {hidden: [8]}}, train: {steps: 20, batch_size: 64, lr: 0.01}}
stages:
  - {name: hard, from: scratch, objective: [teacher_labels: {weight: 0.9}, cross_entropy: {weight: 0.1}]}
  - {name: hard-tuned, from: hard, objective: [cross_entropy], train: {steps: 10, batch_size: 64, lr: 0.001}}
  - {name: labels, from: scratch, objective: [soft_labels: {weight: 0.9}, cross_entropy: {weight: 0.1}]}
  - {name: soft-tuned, from: labels, objective: [cross_entropy], train: {steps: 10, batch_size: 64, lr: 0.001}}
controls: [labels, teacher_labels]
"""


@pytest.fixture(scope="module")
def report(finished_run: Path) -> dict[str, Any]:
    return read(finished_run)


@pytest.fixture(scope="module")
def branches(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[tuple[str, str, int]]]:
    """A finished run of two branches, and every fit that it took."""
    folder, calls = tmp_path_factory.mktemp("branches") / "run", []
    real = chains.Workshop.train_stage

    def train_stage(self: Any, stage: Any, role: str, seed: int, **named: Any) -> Any:
        calls.append((stage.name, role, seed))
        return real(self, stage, role, seed, **named)

    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("LIMBECK_CACHE", "off")
        patched.setattr(chains.Workshop, "train_stage", train_stage)
        pipeline.run(plan_of(BRANCHES), out=folder)
    return folder, calls


def plan_of(text: str) -> Plan:
    return plan_from_recipe(parse_recipe(text))


def read(folder: Path) -> dict[str, Any]:
    def refuse(value: str) -> None:
        raise AssertionError(f"report.json has {value}")

    found: dict[str, Any] = json.loads((folder / "report.json").read_text("utf-8"), parse_constant=refuse)
    return found


def test_the_report_has_every_key_of_the_contract(report: dict[str, Any]) -> None:
    assert set(report) >= TOP
    assert set(report["verdict"]) >= VERDICT
    assert report["verdict"]["outcome"] in {"helped", "hurt", "equal", "unclear"}
    assert set(report["models"]) == {"teacher", "student", "labels", "smoothing", "teacher_labels"}
    for model in report["models"].values():
        assert set(model) >= MODEL
        assert set(model["metrics"]) == METRICS
        assert set(model["latency_ms"][0]) == {"threads", "p50", "p95"}
        for metric in filter(None, model["metrics"].values()):
            assert set(metric) == {"mean", "values", "ci95", "higher_is_better"}
    assert report["models"]["student"]["metrics"]["agreement"] is not None
    assert set(report["export"]["onnx"]) >= {"bytes", "metrics", "max_abs_error", "latency_ms"}
    int8 = report["export"]["int8"]
    assert set(int8) == {*report["export"]["onnx"], "tolerance", "gate", "verdict"}
    assert set(int8["verdict"]) >= VERDICT
    assert report["export"]["measured"] == []
    assert set(report["cost"]) == {
        "teacher_forwards",
        "teacher_spot_checks",
        "teacher_queries",
        "knowledge",
        "controls_from_cache",
        "seconds",
        "peak_memory_mib",
    }
    assert set(report["cost"]["seconds"]) >= {"teacher", "knowledge", "student", "controls"}
    assert (report["task"], report["primary"], report["schema"]) == ("classification", "accuracy", 1)


def test_the_page_loads_nothing(finished_run: Path) -> None:
    page = (finished_run / "report.html").read_text("utf-8")
    assert report_title(page)
    for found in re.findall(r"(?:src|href|action|data)\s*=\s*[\"']([^\"']*)", page):
        assert found.startswith(("data:", "#")), found
    assert not re.search(r"@import|url\((?!['\"]?(?:data:|#))|<script[^>]*src|<link|<iframe", page)


def report_title(page: str) -> bool:
    return "<title>" in page and len(page) > 10_000


def test_predictions_reproduce_the_accuracies(finished_run: Path, report: dict[str, Any]) -> None:
    assert {path.stem for path in (finished_run / "predictions").iterdir()} == set(report["models"])
    for key, model in report["models"].items():
        table = pq.read_table(finished_run / "predictions" / f"{key}.parquet")
        scores, labels = np.stack(table["scores"].to_numpy()), table["label"].to_numpy()
        hits, seeds = scores.argmax(1) == labels, table["seed"].to_numpy()
        values = [hits[seeds == seed].mean() for seed in dict.fromkeys(seeds.tolist())]
        assert model["metrics"]["accuracy"]["values"] == pytest.approx(values)


def test_the_log_has_a_line_for_every_epoch(finished_run: Path, report: dict[str, Any]) -> None:
    records = [json.loads(line) for line in (finished_run / "metrics.jsonl").read_text("utf-8").splitlines()]
    assert len(records) == 6 + 2 * 3 * 4  # the teacher once; student and three controls for two seeds
    assert {record["model"] for record in records} == set(report["models"])
    for key, model in report["models"].items():
        last = max((r["step"] for r in records if r["model"] == key), default=0)
        assert last == model["steps"]


def test_rendering_again_gives_the_same_page(finished_run: Path, report: dict[str, Any], tmp_path: Path) -> None:
    pipeline.write_pages(tmp_path, report)
    for name in ("report.html", "report.md"):
        assert (tmp_path / name).read_bytes() == (finished_run / name).read_bytes()


def test_checksums_are_those_of_the_files(finished_run: Path, report: dict[str, Any]) -> None:
    places = {"teacher": "teacher", "student": "student", "labels": "controls/labels"}
    for key, place in places.items():
        net = load_model(finished_run / place).net
        assert report["models"][key]["checksum"] == checksum(net)
        best = finished_run / place / "seeds" / str(report["models"][key]["best_seed"])
        if key != "teacher":
            assert (best / "model.safetensors").read_bytes() == (
                finished_run / place / "model.safetensors"
            ).read_bytes()
    assert not list(finished_run.rglob("*.pkl")) and not list(finished_run.rglob("*.pt"))


def test_nothing_half_written_is_left(finished_run: Path) -> None:
    names = [path.name for path in finished_run.rglob("*")]
    assert not [name for name in names if ".partial" in name or "checkpoint" in name or name.startswith(".export")]


def test_disagreements_are_pictures_of_test_samples(report: dict[str, Any]) -> None:
    shown = report["disagreements"]
    assert shown
    samples = read_digits(AS_FOUND).train
    for one in shown:
        picture = Image.open(io.BytesIO(base64.b64decode(one["png"])))
        pixels = samples.inputs[samples.ids.index(one["id"])][0].numpy()
        np.testing.assert_array_equal(np.asarray(picture), pixels)
        assert one["teacher"]["class"] != one["student"]["class"]


def test_measuring_again_gives_the_same_figures(finished_run: Path, report: dict[str, Any]) -> None:
    again = evaluate(finished_run)["teacher"]["accuracy"]["mean"]
    assert again == report["models"]["teacher"]["metrics"]["accuracy"]["mean"]


def test_confusion_counts_every_answer(report: dict[str, Any]) -> None:
    for key in ("teacher", "student"):
        counts, model = np.array(report["confusion"][key]), report["models"][key]
        accuracy = model["metrics"]["accuracy"]
        assert counts.sum() == report["data"]["test"] * len(accuracy["values"])
        assert np.trace(counts) / counts.sum() == pytest.approx(accuracy["mean"])


def state_of(folder: Path) -> dict[str, tuple[int, int]]:
    paths = [path for path in folder.rglob("*") if path.is_file() and path.name != ".lock"]
    return {str(path): (path.stat().st_mtime_ns, path.stat().st_size) for path in paths}


def test_resuming_a_finished_run_changes_nothing(branches: tuple[Path, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    folder, _ = branches
    before = state_of(folder)
    monkeypatch.setattr(pipeline, "train_points", lambda *_: pytest.fail("it trained again"))
    assert pipeline.run(plan_of(BRANCHES), out=folder, resume=True) == folder
    with pytest.raises(FolderError, match="exists already"):
        pipeline.run(plan_of(BRANCHES), out=folder)
    assert state_of(folder) == before


def test_branches_have_folders_and_keys_of_their_own(branches: tuple[Path, Any]) -> None:
    folder, _ = branches
    report = read(folder)
    assert set(report["models"]) == {
        "teacher", "student", "labels", "teacher_labels", "hard/student", "hard/labels", "hard/teacher_labels",
        "hard-tuned/student", "labels/student",
    }  # fmt: skip
    for place in ("student", "controls/labels", "stages/hard/student", "stages/hard/controls/labels",
                  "stages/labels/student", "stages/hard-tuned/controls/teacher_labels"):  # fmt: skip
        assert load_model(folder / place).classes == 10
    predictions = {path.name for path in (folder / "predictions").iterdir()}
    assert predictions == {f"{key.replace('/', '-')}.parquet" for key in report["models"]}
    assert report["models"]["labels"]["role"] == "control"
    assert report["models"]["hard/student"]["role"] == "stage"
    titles = [model["title"] for model in report["models"].values()]
    assert len(set(titles)) == len(titles)


def test_branches_train_shared_controls_once(branches: tuple[Path, Any]) -> None:
    folder, calls = branches
    assert len(calls) == len(set(calls)) == 2 * (4 + 2 + 2)
    stages = {stage["name"]: stage for stage in read(folder)["stages"]}
    assert stages["hard-tuned"]["controls"] == stages["soft-tuned"]["controls"]
    assert stages["soft-tuned"]["controls"] == {"labels": "labels", "teacher_labels": "teacher_labels"}
    assert stages["hard"]["controls"] == stages["labels"]["controls"]


def test_a_later_stage_counts_the_steps_of_the_whole_chain(branches: tuple[Path, Any]) -> None:
    models = read(branches[0])["models"]
    assert {key: model["steps"] for key, model in models.items() if key != "teacher"} == {
        key: 20 if key.startswith("hard/") or key == "labels/student" else 30 for key in models if key != "teacher"
    }


def test_verdicts_of_one_report_are_corrected_together(branches: tuple[Path, Any]) -> None:
    report = read(branches[0])
    verdicts = [stage["verdict"] for stage in report["stages"]]
    assert report["verdict"] == verdicts[-1]
    assert [verdict["against"] for verdict in verdicts] == ["labels"] * 4
    for stage, verdict in zip(report["stages"], verdicts, strict=True):
        control = report["models"][stage["controls"]["labels"]]["metrics"]["accuracy"]["mean"]
        student = report["models"][stage["model"]]["metrics"]["accuracy"]["mean"]
        assert verdict["gain"] == pytest.approx(student - control)
    alone = [verdict for verdict in verdicts if verdict["outcome"] == "helped"]
    assert all(verdict["p_value"] < 0.05 for verdict in alone)


def test_a_teacher_of_an_earlier_run(finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "render_html", lambda report: "")
    text = f"""
name: again
seeds: 1
teacher: {{source: "run:{finished_run}"}}
student: {{model: {{mlp: {{hidden: [8]}}}}, train: {{steps: 20, batch_size: 64}}}}
objective: [soft_labels, cross_entropy]
controls: [labels]
export: {{onnx: false}}
"""
    pipeline.run(plan_of(text), out=tmp_path / "run")
    report, earlier = read(tmp_path / "run"), read(finished_run)
    assert report["models"]["teacher"]["checksum"] == earlier["models"]["teacher"]["checksum"]
    assert report["models"]["teacher"]["metrics"]["accuracy"] == earlier["models"]["teacher"]["metrics"]["accuracy"]
    stored = [load_file(folder / "teacher" / "model.safetensors") for folder in (finished_run, tmp_path / "run")]
    assert all(torch.equal(stored[0][name], stored[1][name]) for name in stored[0])
    with pytest.raises(ModelError, match="this data has samples"):
        plan_of(text.replace("seeds: 1", "seeds: 1\ndata: {source: digits, classes: [1, 2]}"))


KINDS = {
    "grey floats": (torch.rand(60, 1, 6, 6), 3),
    "colour bytes": (torch.randint(0, 256, (60, 3, 6, 5), dtype=torch.uint8), 2),
    "vectors": (torch.randn(60, 7), 2),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_sample_goes_through(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "render_html", lambda report: "")
    inputs, classes = KINDS[kind]
    labels = torch.arange(60) % classes
    data = limbeck.Data.from_arrays(train=(inputs, labels), test=(inputs[:30], labels[:30]))
    shape = tuple(inputs.shape[1:])
    result = limbeck.distill(
        MLP(shape, classes, hidden=[8]), lambda: MLP(shape, classes, hidden=[4]), data,
        objective=limbeck.Objective([(0.5, SoftLabels()), (0.5, CrossEntropy())]),
        train=Settings(steps=5, batch_size=16), seeds=2, labels_per_class=3, out=tmp_path / "run", device="cpu",
        progress=False,
    )  # fmt: skip
    report = read(tmp_path / "run")
    assert report["data"]["shape"] == list(shape)
    assert report["data"]["labelled"] == 3 * classes
    assert report["export"]["onnx"]["agreement"] == 1.0
    assert report["models"]["student"]["temperature"] == 1.0, "three labels a class leave none to validate on"
    assert report["models"]["student"]["validation_accuracy"] is None
    assert result.student(inputs[:2].float()).logits.shape == (2, classes)
    pictures = [one["png"] for one in report["disagreements"]]
    assert all(png is None for png in pictures) if kind == "vectors" else all(pictures)


def test_folders_above_the_data_stay_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = tmp_path / "secret-customer" / "photos"
    dice = np.random.default_rng(0)
    for place in ("cat", "dog"):
        (secret / place).mkdir(parents=True)
        for number in range(12):
            Image.fromarray(dice.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(secret / place / f"{number}.png")
    (secret / "cat" / "broken.png").write_bytes(b"no picture")
    extra = tmp_path / "secret-customer" / "more"
    extra.mkdir()
    Image.fromarray(dice.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(extra / "x.png")
    text = """
seeds: 1
data: {source: "folder:$SECRET/photos", unlabelled: "folder:$SECRET/more", size: 8, corrupt: skip}
student: {model: {mlp: {hidden: [4]}}, train: {steps: 5}}
objective: [cross_entropy]
controls: [labels, teacher_labels]
export: {onnx: false}
"""
    monkeypatch.setenv("SECRET", str(tmp_path / "secret-customer"))
    monkeypatch.setattr(pipeline, "render_html", lambda report: "")
    pipeline.run(plan_of(text), out=tmp_path / "run")
    assert "secret-customer" not in json.dumps(read(tmp_path / "run"))
    assert read(tmp_path / "run")["data"]["source"] == "folder:photos"
    assert any("broken.png" in note for note in read(tmp_path / "run")["data"]["notes"])
    assert any("teacher_labels was left out" in note for note in read(tmp_path / "run")["data"]["notes"])


def test_a_model_that_cannot_take_the_data_is_told_before_a_folder_is_made(tmp_path: Path) -> None:
    data = limbeck.Data.from_arrays(train=(torch.randn(40, 7), torch.arange(40) % 2))
    for teacher, student in ((torch.nn.Linear(6, 2), torch.nn.Linear(7, 2)), (None, torch.nn.Linear(6, 2))):
        with pytest.raises(UserError, match=r"cannot take this data, a batch of shape \[4, 7\]"):
            limbeck.distill(
                teacher, student, data, seeds=1, objective=limbeck.Objective([(1.0, CrossEntropy())]),
                out=tmp_path / "run", device="cpu", progress=False,
            )  # fmt: skip
    with pytest.raises(ModelError, match="expected"):
        limbeck.distill(torch.nn.Linear(7, 3), torch.nn.Linear(7, 2), data, out=tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


def test_expected_steps_are_those_that_are_taken(branches: tuple[Path, Any]) -> None:
    plan = plan_of(BRANCHES)
    teacher, steps = pipeline.expected_steps(plan)
    _, calls = branches
    per_stage = {stage.name: stage.settings.steps or 0 for stage in plan.stages}
    assert steps == sum(per_stage[name] for name, _, _ in calls)
    assert teacher == 2 * round(1294 / 256)
