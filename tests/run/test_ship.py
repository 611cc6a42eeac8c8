from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, log_loss

from limbeck.data.contents import AS_FOUND
from limbeck.data.dataset import Data
from limbeck.export.run_onnx import Session
from limbeck.recipe.load import load_recipe
from limbeck.run.plan import plan_from_recipe
from limbeck.run.reload import load_model
from limbeck.run.ship import kind_of, reading_of
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


def test_the_verdict_on_the_files_is_that_on_the_models(report: dict[str, Any]) -> None:
    files, models = report["export"]["verdict"], report["verdict"]
    assert files["against"] == models["against"]
    assert files["gain"] == pytest.approx(models["gain"], abs=1 / report["data"]["test"])
    assert files["values"] == pytest.approx(models["values"], abs=2 / report["data"]["test"])
    assert files["seeds"] == len(report["seeds"])
