from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from limbeck.errors import DataError, FolderError
from limbeck.export.bench import bench
from limbeck.run.measured import add_measurements


@pytest.fixture(scope="module")
def measurement(finished_run: Path) -> dict[str, Any]:
    return bench(finished_run, seconds=0.01)


@pytest.fixture
def run(finished_run: Path, tmp_path: Path) -> Path:
    shutil.copytree(finished_run, tmp_path / "run")
    return tmp_path / "run"


def written(folder: Path, name: str, content: Any) -> Path:
    (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))
    return folder / name


def test_a_measurement_is_kept_in_the_report(run: Path, measurement: dict[str, Any]) -> None:
    before = json.loads((run / "report.json").read_text())
    assert before["export"]["measured"] == []
    report = add_measurements(run, [written(run, "here.json", measurement)])
    assert report == json.loads((run / "report.json").read_text())
    assert report["export"].pop("measured") == [measurement]
    assert report["export"] == {key: value for key, value in before["export"].items() if key != "measured"}
    assert {**report, "export": None} == {**before, "export": None}


def test_the_same_device_is_replaced_another_added(run: Path, measurement: dict[str, Any]) -> None:
    other, later = copy.deepcopy(measurement), copy.deepcopy(measurement)
    other["device"]["processor"] = "another"
    later.update(date="2030-01-01T00:00:00+00:00")
    later["device"]["onnxruntime"] = "9.9"
    paths = [written(run, f"{place}.json", one) for place, one in enumerate((measurement, other, later))]
    report = add_measurements(run, paths[:2])
    assert [one["device"]["processor"] for one in report["export"]["measured"]][1] == "another"
    report = add_measurements(run, paths[2:])
    assert report["export"]["measured"] == [other, later]


def test_a_report_from_before_measurements_takes_them(run: Path, measurement: dict[str, Any]) -> None:
    report = json.loads((run / "report.json").read_text())
    del report["export"]["measured"]
    written(run, "report.json", report)
    assert len(add_measurements(run, [written(run, "a.json", measurement)])["export"]["measured"]) == 1


def changed(measurement: dict[str, Any], place: list[Any], value: Any) -> dict[str, Any]:
    found = copy.deepcopy(measurement)
    inner: Any = found
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    return found


FILE = ["files", "student.onnx"]


@pytest.mark.parametrize(
    ("place", "value", "sentence"),
    [
        (["schema"], "other/2", "is not what limbeck bench or bench.py prints: expected schema 'limbeck.bench/1'"),
        (["more"], 1, "more: extra inputs are not permitted"),
        (["seconds"], -1, "seconds: input should be greater than 0"),
        (["device", "cores"], 0, "device.cores: input should be greater than or equal to 1"),
        (["device"], {}, "device.system: field required; device.machine: field required"),
        ([*FILE, "latency_ms"], [], "latency_ms: tuple should have at least 1 item"),
        ([*FILE, "load_ms"], float("nan"), "load_ms: input should be a finite number"),
        ([*FILE, "latency_ms", 0, "p50"], "fast", "latency_ms.0.p50: input should be a valid number"),
        ([*FILE, "sha256"], "0" * 64, "measured another student.onnx than the one that this run exported"),
        (["files"], {}, "files: dictionary should have at least 1 item"),
    ],
)
def test_what_does_not_fit_is_told_and_changes_nothing(
    run: Path, measurement: dict[str, Any], place: list[Any], value: Any, sentence: str
) -> None:
    before = (run / "report.json").read_bytes()
    path = written(run, "wrong.json", changed(measurement, place, value))
    with pytest.raises(DataError, match=r"wrong\.json") as told:
        add_measurements(run, [written(run, "right.json", measurement), path])
    assert sentence in str(told.value)
    assert (run / "report.json").read_bytes() == before


def test_files_that_the_run_does_not_have_are_told(run: Path, measurement: dict[str, Any]) -> None:
    other = changed(measurement, ["files", "pupil.onnx"], measurement["files"]["student.onnx"])
    with pytest.raises(DataError, match=r"measured another pupil\.onnx .* measure again"):
        add_measurements(run, [written(run, "a.json", other)])
    for content in ("{", "[]"):
        with pytest.raises(DataError, match=r"a\.json"):
            add_measurements(run, [written(run, "a.json", content)])
    with pytest.raises(DataError, match=r"gone\.json cannot be read"):
        add_measurements(run, [run / "gone.json"])


def test_a_run_without_export_has_nothing_to_measure(run: Path, measurement: dict[str, Any], tmp_path: Path) -> None:
    report = json.loads((run / "report.json").read_text())
    written(run, "report.json", {**report, "export": None})
    with pytest.raises(FolderError, match=r"exported nothing \(export.onnx: false\)"):
        add_measurements(run, [written(run, "a.json", measurement)])
    with pytest.raises(FolderError, match="no report.json"):
        add_measurements(tmp_path, [])
