from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from limbeck.errors import FolderError, UserError
from limbeck.export.bench import bench
from limbeck.export.bench_template import _random, device, measure, table
from limbeck.export.bundle import write_bundle
from limbeck.export.gate import exam_of
from limbeck.export.manifest import read_manifest
from limbeck.export.remedies import Int8Request
from limbeck.models.adapt import Adapted


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "export"
    torch.manual_seed(0)
    samples = torch.rand(200, 4)
    exam = exam_of(samples.numpy(), np.full(200, -1), ("ant", "bee", "cat"), 0.5)
    write_bundle(
        folder, model=Adapted(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)), classes=3), name="student",
        shape=(4,), kind="vector", classes=["ant", "bee", "cat"], temperature=1.0, reading=None, source_hash="0",
        samples=samples, extra={}, int8=Int8Request(samples.numpy(), exam),
    )  # fmt: skip
    return folder


def check(found: dict[str, Any], folder: Path, threads: list[int]) -> None:
    files = read_manifest(folder)["files"]
    assert found["schema"] == "limbeck.bench/1"
    assert found["device"].keys() == {"system", "machine", "processor", "cores", "python", "onnxruntime"}
    assert found["files"].keys() == {"student.onnx", "student.int8.onnx"}
    for name, file in found["files"].items():
        assert {key: file[key] for key in ("bytes", "sha256")} == files[name]
        assert file["load_ms"] > 0
        assert [one["threads"] for one in file["latency_ms"]] == threads
        assert all(0 < one["p50"] <= one["p95"] for one in file["latency_ms"])
        assert [(one["threads"], one["batch"]) for one in file["throughput"]] == [(count, 64) for count in threads]
        assert all(one["per_second"] > 1 for one in file["throughput"])


def test_every_onnx_file_is_measured(bundle: Path) -> None:
    check(bench(bundle, threads=[1, 2, 1], seconds=0.01), bundle, [1, 2])
    check(bench(bundle.parent, seconds=0.01), bundle, [1])


def test_the_script_beside_the_files_prints_the_same_form(bundle: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-I", str(bundle / "bench.py"), "--threads", "1", "--threads", "2", "--seconds", "0.01"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    check(json.loads(done.stdout), bundle, [1, 2])
    lines = done.stderr.splitlines()
    assert lines[0].split()[:2] == ["file", "bytes"]
    assert [line.split()[0] for line in lines[1:]] == ["student.onnx"] * 2 + ["student.int8.onnx"] * 2


@pytest.mark.parametrize("wrong", [["--threads", "0"], ["--seconds", "0"], ["--seconds", "x"]])
def test_the_script_refuses_what_cannot_be(bundle: Path, wrong: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, str(bundle / "bench.py"), *wrong], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"threads": [0]}, "--threads expects 1 or more, got 0."),
        ({"threads": []}, "--threads expects 1 or more, got none."),
        ({"seconds": 0.0}, "--seconds expects more than 0 and less than an hour, got 0."),
        ({"seconds": float("nan")}, "got nan."),
    ],
)
def test_mistakes_are_told(bundle: Path, given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        bench(bundle, **given)


def test_a_changed_file_is_not_measured(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(FolderError, match="no folder"):
        bench(tmp_path / "nowhere")
    for path in bundle.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "student.int8.onnx").write_bytes(b"other")
    with pytest.raises(FolderError, match=r"student.int8.onnx is not the file"):
        bench(tmp_path, seconds=0.01)


def test_a_measurement_says_nothing_private(bundle: Path) -> None:
    import getpass
    import platform

    text = json.dumps({"device": device(), "files": measure(bundle, ["student.onnx"], seconds=0.01)["files"]})
    assert platform.node() not in text
    assert str(Path.home()) not in text
    assert f'"{getpass.getuser()}"' not in text


class Entry:
    def __init__(self, name: str, kind: str, shape: list[object]) -> None:
        self.name, self.type, self.shape = name, f"tensor({kind})", shape


class Graph:
    def get_inputs(self) -> list[Entry]:
        return [
            Entry("pixels", "uint8", ["batch", 3, 4, 5]),
            Entry("age", "float", ["batch", 1]),
            Entry("town", "string", ["batch", "one"]),
        ]


def test_random_inputs_fit_whatever_the_graph_asks() -> None:
    made = _random(Graph(), 7)
    assert made["pixels"].shape == (7, 3, 4, 5) and made["pixels"].dtype == np.uint8 and made["pixels"].std() > 50
    assert made["age"].shape == (7, 1) and made["age"].dtype == np.float32
    assert made["town"].shape == (7, 1) and made["town"].dtype == object


def test_the_table_has_a_line_for_each_file_and_number_of_threads(bundle: Path) -> None:
    found = measure(bundle, ["student.onnx"], threads=[1, 2], seconds=0.01)
    assert len(table(found).splitlines()) == 3
