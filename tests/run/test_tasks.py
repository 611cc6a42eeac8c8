"""Regression and multi-label, the whole way: data, distilled beside control, verdict, report, file, command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from sklearn.datasets import make_multilabel_classification
from sklearn.metrics import average_precision_score, mean_absolute_error, mean_squared_error, r2_score, roc_auc_score
from torch import nn

import limbeck
from limbeck.errors import ModelError, UserError
from limbeck.export.run_onnx import Session
from limbeck.recipe.load import load_recipe
from limbeck.run.evaluation import evaluate
from limbeck.run.plan import plan_from_recipe
from limbeck.run.reload import load_model
from limbeck.train.loop import predict

DIABETES = """\
name: diabetes
seeds: 2
data: {source: diabetes, task: regression}
teacher: {model: {mlp: {hidden: [32]}}, train: {epochs: 30, batch_size: 32, lr: 0.01}}
student: {model: {mlp: {hidden: [8]}}, train: {epochs: 20, batch_size: 32, lr: 0.01}}
objective: [soft_regression: {weight: 0.6}, bounded_regression: {weight: 0.2}, squared_error: {weight: 0.2}]
"""
MADE = """\
name: made
seeds: 2
data: {source: "npz:made.npz", task: multi_label}
teacher: {model: {mlp: {hidden: [32]}}, train: {epochs: 15, batch_size: 32, lr: 0.01}}
student: {model: {mlp: {hidden: [8]}}, train: {epochs: 10, batch_size: 32, lr: 0.01}}
objective: [binary_soft_labels: {temperature: 2, weight: 0.9}, binary_cross_entropy: {weight: 0.1}]
"""
Report = dict[str, Any]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tasks")
    x, y = make_multilabel_classification(500, 12, n_classes=5, n_labels=2, random_state=0)
    np.savez(folder / "made.npz", x=x.astype(np.float32), y=y.astype(bool))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("LIMBECK_CACHE", "off")
        for name, text in (("diabetes", DIABETES), ("made", MADE)):
            (folder / f"{name}.yaml").write_text(text)
            limbeck.run_recipe(f"{name}.yaml", out=name, progress=False)
    return folder


@pytest.fixture(autouse=True)
def here(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)


def report_of(name: str) -> Report:
    found: Report = json.loads(Path(name, "report.json").read_text())
    return found


def predictions(name: str, model: str = "student") -> tuple[np.ndarray, np.ndarray]:
    """Return scores [S, N, C] and labels [N, C]."""
    table = pq.read_table(Path(name, "predictions", f"{model}.parquet"))
    seeds = len(set(table["seed"].to_pylist()))
    scores, labels = (np.stack(table[column].to_numpy()) for column in ("scores", "label"))
    return scores.reshape(seeds, -1, scores.shape[1]), labels[: len(labels) // seeds]


@pytest.mark.parametrize(
    ("name", "task", "primary", "control"),
    [("diabetes", "regression", "mse", "squared_error"), ("made", "multi_label", "map", "binary_cross_entropy")],
)
def test_the_student_is_judged_beside_its_control(name: str, task: str, primary: str, control: str) -> None:
    report = report_of(name)
    assert (report["task"], report["primary"], list(report["models"])) == (
        task,
        primary,
        ["teacher", "student", "labels"],
    )
    verdict, models = report["verdict"], report["models"]
    student, labels = (models[key]["metrics"][primary] for key in ("student", "labels"))
    sign = 1 if student["higher_is_better"] else -1
    assert verdict["against"] == "labels" and verdict["outcome"] in ("helped", "hurt", "equal", "unclear")
    assert verdict["gain"] == pytest.approx(sign * (student["mean"] - labels["mean"]))
    assert models["student"]["steps"] == models["labels"]["steps"]
    fit = json.loads(Path(name, "controls/labels/seeds/0/fit.json").read_text())
    assert fit["objective"] == f"1 {control}"
    assert verdict["margin"] == pytest.approx(0.05 * labels["mean"] if task == "regression" else 0.01)
    assert report["export"]["verdict"]["against"] == "labels" and report["export"]["int8"] is None
    assert models["student"]["temperature"] is None and report["export"]["onnx"]["agreement"] is None
    assert not report["confusion"] and not report["reliability"] and not report["disagreements"]


def test_regression_is_told_in_the_users_units() -> None:
    report, (scores, truth) = report_of("diabetes"), predictions("diabetes")
    metrics = report["models"]["student"]["metrics"]
    for name, theirs in (("mse", mean_squared_error), ("mae", mean_absolute_error), ("r2", r2_score)):
        expected = [theirs(truth, one) for one in scores]
        assert metrics[name]["values"] == pytest.approx(expected, rel=1e-4)
    assert metrics["nmse"] is None and truth.min() >= 25 and truth.max() <= 346
    assert metrics["r2"]["mean"] > 0.2 and report["models"]["teacher"]["metrics"]["r2"]["mean"] > 0.2
    points = report["scatter"]["student"][0]
    assert points["name"] == "progression" and len(points["points"]) == len(truth) == report["data"]["test"]
    best = report["seeds"].index(report["models"]["student"]["best_seed"])
    np.testing.assert_allclose(np.array(points["points"])[:, 1], scores[best][:, 0], rtol=1e-5)


def test_labels_are_told_one_by_one() -> None:
    report, (scores, truth) = report_of("made"), predictions("made")
    metrics = report["models"]["student"]["metrics"]
    for name, theirs in (("map", average_precision_score), ("auroc", roc_auc_score)):
        assert metrics[name]["values"] == pytest.approx([theirs(truth, one, average="macro") for one in scores])
    for place, label in enumerate(report["by_label"]["student"]):
        assert label["name"] == str(place)
        expected = [roc_auc_score(truth[:, place], one[:, place]) for one in scores]
        assert label["auroc"]["values"] == pytest.approx(expected)
    exact = [((one > 0.5) == (truth > 0)).all(axis=1).mean() for one in scores]
    assert metrics["exact_match"]["values"] == pytest.approx(exact)


@pytest.mark.parametrize("name", ["diabetes", "made"])
def test_the_pages_show_what_the_task_has(name: str) -> None:
    page, text = (Path(name, f"report.{kind}").read_text() for kind in ("html", "md"))
    shown = {"diabetes": ("Predicted against true", "Mean absolute error"), "made": ("One by one", "AUROC")}
    assert all(word in page for word in shown[name]) and shown[name][1] in text
    assert not any(f'id="{part}"' in page for part in ("confusion", "reliability", "disagreements"))
    assert "right more often" not in page and "nan" not in text.split()
    validated = {"diabetes": "Validation R²", "made": "Validation average precision"}
    assert validated[name] in text


def test_the_file_gives_values_in_the_users_units() -> None:
    plan = plan_from_recipe(load_recipe(Path("diabetes.yaml")))
    data, session = plan.data, Session(Path("diabetes/export/student.onnx"))
    said, again = session.logits_and_probabilities(data.test.inputs.numpy())
    logits = predict(load_model(Path("diabetes/student")), data.test).numpy()
    assert data.scaling is not None
    np.testing.assert_allclose(said, data.scaling.restored(logits), rtol=1e-3)
    assert (said == again).all() and said.mean() == pytest.approx(float(data.pool.labels.mean()), rel=0.2)
    manifest = json.loads(Path("diabetes/export/manifest.json").read_text())
    assert (manifest["outputs"], manifest["task"]) == (["values"], "regression")
    assert manifest["target"] == json.loads(Path("diabetes/student/model.json").read_text())["target"]


def test_the_file_gives_a_probability_for_each_label() -> None:
    plan = plan_from_recipe(load_recipe(Path("made.yaml")))
    session = Session(Path("made/export/student.onnx"))
    logits, chances = session.logits_and_probabilities(plan.data.test.inputs.numpy())
    np.testing.assert_allclose(chances, 1 / (1 + np.exp(-logits)), rtol=1e-4, atol=1e-6)
    assert json.loads(Path("made/export/manifest.json").read_text())["outputs"] == ["logits", "probabilities"]


@pytest.mark.parametrize("name", ["diabetes", "made"])
def test_predict_and_the_folders_own_script_say_the_same(name: str) -> None:
    rows = plan_from_recipe(load_recipe(Path(f"{name}.yaml"))).data.test.inputs[:3].numpy()
    np.save("rows.npy", rows)
    mine = list(limbeck.predict(Path(name), [Path("rows.npy")]))
    script = [sys.executable, f"{name}/export/predict.py", "rows.npy"]
    told = subprocess.run(script, capture_output=True, text=True, check=True).stdout
    assert [json.loads(line) for line in told.splitlines()] == mine
    if name == "diabetes":
        assert [set(one) for one in mine] == [{"file", "row", "values"}] * 3
        assert 25 < mine[0]["values"]["progression"] < 346
    else:
        assert mine[0]["labels"] == [label for label, chance in mine[0]["probabilities"].items() if chance > 0.5]


@pytest.mark.parametrize(("name", "primary"), [("diabetes", "mse"), ("made", "map")])
def test_evaluate_measures_a_run_again(name: str, primary: str, call: Any) -> None:
    found, report = evaluate(Path(name)), report_of(name)
    for role in ("student", "labels"):
        model = report["models"][role]
        kept = model["metrics"][primary]["values"][report["seeds"].index(model["best_seed"])]
        assert found[role][primary]["mean"] == pytest.approx(kept, rel=1e-5)
    told = call("evaluate", name)
    assert told.code == 0 and {"diabetes": "mse", "made": "mAP"}[name] in told.out
    shown = call("report", name)
    assert shown.code == 0


def test_evaluate_measures_a_bundle_on_other_data() -> None:
    archive = np.load("made.npz")
    np.savez("other.npz", x=archive["x"][:50], y=archive["y"][:50])
    found = evaluate(Path("made/export"), "npz:other.npz")["student.onnx"]
    assert 0.3 < found["map"]["mean"] <= 1.0
    np.savez("other.npz", x=archive["x"][:50], y=archive["y"][:50, :2])
    with pytest.raises(UserError, match="has 2 labels for each sample; the model answers 5"):
        evaluate(Path("made/export"), "npz:other.npz")


def test_check_says_what_the_labels_are() -> None:
    for name, told in (("diabetes", '"progression" from 25 to 346'), ("made", "5 labels on ")):
        findings = limbeck.preflight.checks.preflight(plan_from_recipe(load_recipe(Path(f"{name}.yaml"))))
        assert any(told in finding.sentence for finding in findings if finding.name == "labels")
        assert not [finding for finding in findings if finding.level == "fault"]


def test_the_teacher_of_an_earlier_run() -> None:
    plan = plan_from_recipe(load_recipe(Path("diabetes.yaml"), ["teacher={source: 'run:diabetes'}"]))
    assert plan.teacher is not None and plan.teacher.settings is None
    with pytest.raises(ModelError, match="brought to mean 0 and deviation 1 over other rows"):
        plan_from_recipe(load_recipe(Path("diabetes.yaml"), ["teacher={source: 'run:diabetes'}", "data.split_seed=1"]))
    with pytest.raises(ModelError, match="trained for multi_label, but data.task is regression"):
        plan_from_recipe(load_recipe(Path("diabetes.yaml"), ["teacher={source: 'run:made'}"]))


def test_a_sweep_with_stored_answers_is_told_side_by_side(tmp_path: Path, call: Any) -> None:
    settings = [
        "name=swept",
        "seeds=1",
        "teacher={source: 'run:diabetes'}",
        "student.train.epochs=8",
        f"knowledge={{mode: stored, path: '{tmp_path / 'store'}'}}",
        "sweep.student.train.lr=[0.003, 0.03]",
    ]
    report = limbeck.run_recipe("diabetes.yaml", settings, out=tmp_path / "swept", progress=False).report
    assert report["cost"]["knowledge"].startswith("The teacher's answers: stored")
    assert report["validated_by"] == "r2" and report["sweep"]["chosen_by"] == "mean validation r2 over the seeds"
    chosen = max(report["variants"], key=lambda one: one["validation_accuracy"])
    assert chosen["chosen"] and set(chosen["controls"]["labels"]) == {"mean", "values", "ci95", "higher_is_better"}
    page = (tmp_path / "swept" / "report.html").read_text()
    assert "chosen by validation r²" in page and "Mean squared error of the student against student.train.lr" in page
    assert call("report", tmp_path / "swept", "diabetes", "--out", tmp_path / "both.html").code == 0
    assert "Gain in mean squared error over the best control" in (tmp_path / "both.html").read_text()
    assert ", points" not in (tmp_path / "both.html").read_text()


class Linear(nn.Module):
    """What a user's own teacher is: it answers in the units of the labels."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        values: torch.Tensor = self.layer(inputs)
        return values


def several(count: int = 240, seed: int = 0) -> tuple[np.ndarray, np.ndarray, Linear]:
    """Return inputs, two values in very different units, and the teacher that knows them."""
    random, teacher = np.random.default_rng(seed), Linear()
    with torch.no_grad():
        teacher.layer.weight.copy_(torch.tensor([[1.0, -1.0, 0.5], [0.0, 4000.0, 9000.0]]))
        teacher.layer.bias.copy_(torch.tensor([2.0, 50_000.0]))
        x = random.normal(size=(count, 3)).astype(np.float32)
        y = teacher(torch.from_numpy(x)).numpy() + random.normal(size=(count, 2)) * [0.3, 3000]
    return x, y, teacher


@pytest.mark.usefixtures("quick_page")
def test_a_module_answers_in_the_users_units_and_each_value_counts_alike(tmp_path: Path) -> None:
    x, y, teacher = several()
    y[5:60] = np.nan
    test = several(80, 1)
    data = limbeck.Data.from_arrays((x, y), (test[0], test[1]), classes=("price", "rent"), task="regression")
    result = limbeck.distill(
        teacher, lambda: nn.Linear(3, 2), data, train=limbeck.Settings(epochs=40, batch_size=16, lr=0.03), seeds=1,
        out=tmp_path / "run", progress=False,
    )  # fmt: skip
    report = result.report
    assert report["primary"] == "nmse" and report["models"]["teacher"]["metrics"]["r2"]["mean"] > 0.9
    assert report["data"]["unlabelled"] + report["data"]["validation"] > 55
    student = report["by_label"]["student"]
    assert [one["name"] for one in student] == ["price", "rent"] and student[1]["mse"]["mean"] > 1e4
    assert report["models"]["student"]["metrics"]["r2"]["mean"] > 0.8
    assert report["stages"][0]["objective"] == "0.9 soft_regression + 0.1 squared_error"


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"controls": ["smoothing"]}, "the control smoothing is for classification"),
        ({"int8": True}, "int8=True is judged by the classes it loses"),
        ({"labels_per_class": 3}, "data.labels_per_class is for classification"),
        ({"objective": limbeck.Objective([(1.0, limbeck.CrossEntropy())])}, "cross_entropy is for classification"),
    ],
)
def test_what_makes_no_sense_from_python(changed: dict[str, Any], told: str, tmp_path: Path) -> None:
    x, y, teacher = several()
    data = limbeck.Data.from_arrays((x, y), task="regression")
    arguments: dict[str, Any] = {"teacher": teacher, "student": lambda: nn.Linear(3, 2), "data": data, **changed}
    with pytest.raises(UserError, match=told):
        limbeck.distill(**arguments, epochs=1, seeds=1, out=tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()
