from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, log_loss

from limbeck.data.contents import AS_FOUND
from limbeck.data.dataset import Data
from limbeck.export.run_onnx import Session
from limbeck.recipe.load import load_recipe, parse_recipe
from limbeck.run.plan import plan_from_recipe
from limbeck.run.reload import load_model
from limbeck.run.ship import int8_request, kind_of, reading_of
from limbeck.train.loop import predict


def data_of(inputs: torch.Tensor) -> Data:
    return Data.from_arrays((inputs, torch.arange(len(inputs)) % 2))


@pytest.fixture(scope="module")
def report(finished_run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((finished_run / "report.json").read_text("utf-8"))
    return found


@pytest.fixture(scope="module")
def data(finished_run: Path) -> Data:
    return plan_from_recipe(load_recipe(finished_run / "recipe.yaml")).data


def test_pixels_ship_as_pixels_and_everything_else_as_features() -> None:
    assert kind_of(data_of(torch.zeros(20, 1, 4, 4, dtype=torch.uint8))) == "image"
    assert kind_of(data_of(torch.rand(20, 1, 4, 4))) == "vector"
    assert kind_of(data_of(torch.rand(20, 4))) == "vector"


def test_the_manifest_says_how_a_picture_is_read() -> None:
    found = reading_of(data_of(torch.zeros(20, 3, 4, 5, dtype=torch.uint8)))
    assert found == {"size": [4, 5], "channels": "rgb", "resize": AS_FOUND.resize, "background": AS_FOUND.background}
    assert reading_of(data_of(torch.zeros(20, 2, 4, 5, dtype=torch.uint8))) is None
    assert reading_of(data_of(torch.rand(20, 3, 4, 5))) is None


def test_the_file_was_judged_on_its_own_answers(finished_run: Path, report: dict[str, Any], data: Data) -> None:
    session = Session(finished_run / "export" / "student.onnx", threads=1)
    logits, probabilities = session.logits_and_probabilities(data.test.inputs.numpy())
    labels, found = data.test.labels.numpy(), report["export"]["onnx"]
    assert found["metrics"]["accuracy"]["mean"] == pytest.approx(accuracy_score(labels, logits.argmax(1)))
    assert found["temperature"] != 1
    exact = probabilities.astype(float) / probabilities.astype(float).sum(1, keepdims=True)
    assert found["metrics"]["nll"]["mean"] == pytest.approx(log_loss(labels, exact), rel=1e-6)
    scaled = torch.from_numpy(logits).double().div(found["temperature"]).softmax(1).numpy()
    np.testing.assert_allclose(probabilities, scaled, atol=1e-5)


def test_the_file_is_the_best_student(finished_run: Path, report: dict[str, Any], data: Data) -> None:
    student, found = report["models"]["student"], report["export"]["onnx"]
    manifest = json.loads((finished_run / "export" / "manifest.json").read_text("utf-8"))
    assert manifest["seed"] == student["best_seed"]
    assert manifest["source_hash"] == student["checksum"]
    place = report["seeds"].index(student["best_seed"])
    assert found["metrics"]["accuracy"]["mean"] == pytest.approx(student["metrics"]["accuracy"]["values"][place])
    expected = predict(load_model(finished_run / "student"), data.test).numpy()
    session = Session(finished_run / "export" / "student.onnx", threads=1)
    logits, _ = session.logits_and_probabilities(data.test.inputs.numpy())
    assert np.abs(logits - expected).max() < 1e-3 * max(1, np.abs(expected).max())
    assert found["bytes"] == (finished_run / "export" / "student.onnx").stat().st_size
    assert found["max_abs_error"] < 1e-3
    assert found["agreement"] == 1.0


@pytest.mark.parametrize("count", [1, 2, 7])
def test_the_int8_file_answers_alike_in_batches_of_any_size(finished_run: Path, data: Data, count: int) -> None:
    session = Session(finished_run / "export" / "student.int8.onnx", threads=1)
    inputs = data.test.inputs[:28].numpy()
    whole, _ = session.logits_and_probabilities(inputs)
    parts, _ = session.logits_and_probabilities(inputs, batch_size=count)
    np.testing.assert_allclose(parts, whole, atol=1e-4)


def test_the_int8_file_is_described_by_its_own_answers(finished_run: Path, report: dict[str, Any], data: Data) -> None:
    found, base = report["export"]["int8"], report["export"]["onnx"]
    path = finished_run / found["file"]
    assert (found["bytes"], found["temperature"]) == (path.stat().st_size, base["temperature"])
    logits, _ = Session(path, threads=1).logits_and_probabilities(data.test.inputs.numpy())
    labels = data.test.labels.numpy()
    assert found["metrics"]["accuracy"]["mean"] == pytest.approx(accuracy_score(labels, logits.argmax(1)))
    assert 0 < found["max_abs_error"] < 1 and found["parity_batches"] == [1, 2, 7]
    assert found["latency_ms"][0]["threads"] == 1
    assert found["tolerance"] == 0.01 and found["gate"]["passed"]
    manifest = json.loads((finished_run / "export" / "manifest.json").read_text("utf-8"))
    assert manifest["int8"] == found["gate"]
    assert manifest["graphs"] == {"fp32": "student.onnx", "int8": "student.int8.onnx"}


def test_the_exam_is_the_validation_split_with_visible_labels_and_ranges_are_of_training(data: Data) -> None:
    recipe = "student: {model: linear}\nobjective: [cross_entropy]\nexport: {int8: true}\ndata: {labels_per_class: 10}"
    plan = plan_from_recipe(parse_recipe(recipe))
    request = int8_request(plan, 0)
    assert request is not None
    assert np.array_equal(request.exam.inputs, data.pool.inputs[data.validation].numpy())
    assert request.exam.known == int((plan.data.visible_labels(10, 0)[data.validation] >= 0).sum()) == 10
    training = {one.tobytes() for one in data.pool.inputs[data.train].numpy()}
    assert len(request.samples) == 256 and {one.tobytes() for one in request.samples} <= training
    assert np.array_equal(request.samples, int8_request(plan, 1).samples)  # type: ignore[union-attr]
    every = replace(plan, labels_per_class=None)
    assert int8_request(every, 0).exam.judged_by == "accuracy"  # type: ignore[union-attr]
    assert int8_request(replace(plan, int8=False), 0) is None


def test_the_verdict_on_int8_files_is_of_int8_files(report: dict[str, Any]) -> None:
    files, int8 = report["export"]["verdict"], report["export"]["int8"]["verdict"]
    assert (int8["against"], int8["seeds"], int8["margin"]) == (files["against"], files["seeds"], files["margin"])
    assert int8["values"] == pytest.approx(files["values"], abs=0.03)
    place = report["seeds"].index(report["models"]["student"]["best_seed"])
    assert 0 <= place < len(int8["values"])


def test_the_verdict_on_the_files_is_that_on_the_models(report: dict[str, Any]) -> None:
    files, models = report["export"]["verdict"], report["verdict"]
    assert files["against"] == models["against"]
    assert files["gain"] == pytest.approx(models["gain"], abs=1 / report["data"]["test"])
    assert files["values"] == pytest.approx(models["values"], abs=2 / report["data"]["test"])
    assert files["seeds"] == len(report["seeds"])
