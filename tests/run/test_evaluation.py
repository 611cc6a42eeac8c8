from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from limbeck.errors import DataError, FolderError
from limbeck.run.evaluation import evaluate


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten of scikit-learn's digits of the classes 3 and 8 as pictures, and one row file with a null label."""
    place = tmp_path_factory.mktemp("pictures")
    levels, labels = load_digits(return_X_y=True)
    rows = []
    for label in (3, 8):
        (place / "photos" / str(label)).mkdir(parents=True)
        for number, flat in enumerate(levels[labels == label][:10]):
            path = place / "photos" / str(label) / f"{number}.png"
            Image.fromarray(np.rint(flat.reshape(8, 8) * 255 / 16).astype(np.uint8)).save(path)
            rows.append({"bytes": path.read_bytes(), "path": None})
    names = ["3"] * 10 + ["8"] * 9 + [None]
    pq.write_table(pa.table({"image": rows, "label": names}), place / "some.parquet")
    return place


def test_bundle_equals_the_reports_export(finished_run):
    report = json.loads((finished_run / "report.json").read_text())

    found = evaluate(finished_run / "export", "digits")["student.onnx"]  # all of it: there is no test split

    assert 0 <= found["accuracy"]["mean"] <= 1
    assert found["agreement"] is None
    assert found.keys() == report["export"]["onnx"]["metrics"].keys()


def test_run_on_other_pictures(finished_run, pictures):
    found = evaluate(finished_run, f"folder:{pictures}/photos")

    assert found["teacher"]["accuracy"]["mean"] > 0.5  # learned from digits like these
    assert found["student"]["agreement"]["mean"] <= 1
    bundle = evaluate(finished_run / "export", f"folder:{pictures}/photos")
    assert bundle["student.onnx"]["accuracy"]["mean"] == found["student"]["accuracy"]["mean"]


def test_samples_seen_in_training_are_counted_and_told(finished_run):
    told: list[str] = []
    evaluate(finished_run, tell=told.append)
    assert told == []  # the run's own test split
    for place in (finished_run, finished_run / "export"):
        evaluate(place, "digits", tell=told.append)  # all of it, training samples among them
    assert len(told) == 2
    assert all(text.startswith("1,4") and " of these 1,797 samples were there in training" in text for text in told)


def test_samples_without_label_are_left_out(finished_run, pictures):
    found = evaluate(finished_run, f"parquet:{pictures}/some.parquet")

    assert found["student"]["accuracy"]["mean"] * 19 == pytest.approx(round(found["student"]["accuracy"]["mean"] * 19))


def test_samples_of_another_shape(finished_run, pictures, tmp_path):
    shutil.copytree(finished_run / "export", tmp_path / "export")
    manifest = json.loads((tmp_path / "export" / "manifest.json").read_text())
    manifest["input"]["channels"] = "rgb"
    (tmp_path / "export" / "manifest.json").write_text(json.dumps(manifest))

    with pytest.raises(DataError, match=r"of shape \[3, 8, 8\]; the model expects some, of shape \[1, 8, 8\]"):
        evaluate(tmp_path / "export", f"folder:{pictures}/photos")


def test_bundle_without_data(finished_run):
    with pytest.raises(FolderError, match="is a bundle without data; name some with --data"):
        evaluate(finished_run / "export")


def test_data_that_came_from_python(finished_run, tmp_path):
    shutil.copytree(finished_run, tmp_path / "run")
    (tmp_path / "run" / "recipe.yaml").write_text("data: {source: python}\n".replace("{", "\n  ").replace("}", ""))

    with pytest.raises(DataError, match="came from Python; name some with --data"):
        evaluate(tmp_path / "run")


def test_unfinished_run(finished_run, tmp_path):
    shutil.copytree(finished_run, tmp_path / "run")
    (tmp_path / "run" / "report.json").unlink()

    with pytest.raises(FolderError, match="the run is not finished; go on with"):
        evaluate(tmp_path / "run")
