from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from limbeck.errors import DiskError, ExportError, FolderError, ModelError
from limbeck.export.bundle import write_bundle
from limbeck.export.gate import exam_of
from limbeck.export.manifest import graph_name
from limbeck.export.remedies import Int8Request
from limbeck.export.trace import Trace, trace_graph
from limbeck.models.adapt import Adapted

FILES = {"student.onnx", "manifest.json", "predict.py", "bench.py"}


def mlp(seed: int = 0) -> Adapted:
    torch.manual_seed(seed)
    return Adapted(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)), classes=3)


@pytest.fixture(scope="module")
def trace() -> Trace:
    return trace_graph(mlp(), shape=(4,), kind="vector")


def write(folder: Path, model: Adapted, trace: Trace | None, **changed: Any) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "name": "student",
        "shape": (4,),
        "kind": "vector",
        "classes": ["ant", "bee", "cat"],
        "temperature": 1.5,
        "reading": None,
        "source_hash": "f00",
        "samples": torch.randn(16, 4),
        "extra": {"seed": 3},
    }
    return write_bundle(folder, model=model, trace=trace, **(arguments | changed))


def test_the_manifest_describes_the_folder(tmp_path: Path, trace: Trace) -> None:
    folder = tmp_path / "run" / "export"
    manifest = write(folder, mlp(), trace)
    assert {path.name for path in folder.iterdir()} == FILES
    assert [path.name for path in folder.parent.iterdir()] == ["export"]
    assert json.loads((folder / "manifest.json").read_text()) == manifest
    assert manifest["schema"] == "limbeck.export/1"
    assert manifest["input"] == {
        "name": "features",
        "type": "float32",
        "layout": "ND",
        "shape": [4],
        "size": None,
        "channels": None,
        "resize": None,
        "background": None,
        "range": None,
    }
    assert manifest["outputs"] == ["logits", "probabilities"]
    assert manifest["classes"] == ["ant", "bee", "cat"]
    assert (manifest["name"], manifest["seed"], manifest["temperature"]) == ("student", 3, 1.5)
    assert manifest["source_hash"] == "f00"
    assert manifest["opset"] >= 18
    assert manifest["parity"]["parity_batches"] == [1, 2, 7]
    assert manifest["graphs"] == {"fp32": "student.onnx", "int8": None}
    assert manifest["int8"] is None
    assert manifest["files"].keys() == FILES - {"manifest.json"}
    for name in manifest["files"]:
        content = (folder / name).read_bytes()
        assert manifest["files"][name] == {
            "bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
        }


def answers(folder: Path, features: Tensor) -> np.ndarray:
    session = onnxruntime.InferenceSession(folder / "student.onnx", providers=["CPUExecutionProvider"])
    return session.run(["logits"], {"features": features.numpy()})[0]


def test_an_earlier_export_is_replaced(tmp_path: Path, trace: Trace) -> None:
    folder = tmp_path / "export"
    first, second = write(folder, mlp(0), trace), write(folder, mlp(1), trace)
    assert first["files"]["student.onnx"] != second["files"]["student.onnx"]
    features = torch.randn(5, 4)
    np.testing.assert_allclose(answers(folder, features), mlp(1)(features).logits.detach(), atol=1e-6)
    assert [path.name for path in tmp_path.iterdir()] == ["export"]


def request(tolerance: float = 0.5, samples: int = 200) -> Int8Request:
    inputs = torch.randn(samples, 4, generator=torch.Generator().manual_seed(0)).numpy()
    return Int8Request(inputs, exam_of(inputs, np.full(samples, -1), ("ant", "bee", "cat"), tolerance))


def test_an_int8_file_that_passes_is_listed_and_the_gate_told(tmp_path: Path, trace: Trace) -> None:
    folder = tmp_path / "export"
    manifest = write(folder, mlp(), trace, int8=request())
    assert {path.name for path in folder.iterdir()} == FILES | {"student.int8.onnx"}
    assert json.loads((folder / "manifest.json").read_text()) == manifest
    assert manifest["graphs"] == {"fp32": "student.onnx", "int8": "student.int8.onnx"}
    assert manifest["int8"]["passed"] and manifest["int8"]["tolerance"] == 0.5
    assert manifest["int8"]["parity"]["parity_batches"] == [1, 2, 7]
    assert 0 < manifest["int8"]["parity"]["max_abs_error"] < 0.1
    content = (folder / "student.int8.onnx").read_bytes()
    assert manifest["files"]["student.int8.onnx"] == {
        "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest(),
    }  # fmt: skip
    assert graph_name(folder, manifest, int8=True) == "student.int8.onnx"
    assert graph_name(folder, manifest, int8=False) == "student.onnx"


def test_an_int8_file_that_is_refused_is_left_out_and_the_manifest_says_why(tmp_path: Path, trace: Trace) -> None:
    folder = tmp_path / "export"
    broken = mlp()
    with torch.no_grad():
        first, last = broken.net[0], broken.net[2]
        first.weight[:, 0] = 1e5  # from a feature that is always 0: it takes the whole range of every channel
        first.weight[0], first.bias[0] = 0, -1
        last.weight[:, 0] = 1e5  # and so does a unit that is always 0
    still = request(0.0)
    still.samples[:, 0] = still.exam.inputs[:, 0] = 0
    manifest = write(folder, broken, None, int8=still)
    assert {path.name for path in folder.iterdir()} == FILES
    assert manifest["graphs"]["int8"] is None
    assert not manifest["int8"]["passed"] and manifest["int8"]["parity"] is None
    assert len(manifest["int8"]["attempts"]) >= 3
    with pytest.raises(FolderError, match=r"has no int8 file\. No int8 file ships: none of \d attempts passed"):
        graph_name(folder, manifest, int8=True)
    plain = write(tmp_path / "plain", mlp(), trace)
    with pytest.raises(FolderError, match=r"has no int8 file\. export\.int8: true in the recipe asks for one"):
        graph_name(tmp_path / "plain", plain, int8=True)


class Killed(BaseException):
    """From here on nothing happens on disk any more, as after kill -9."""


def kill_at(monkeypatch: pytest.MonkeyPatch, moment: int) -> None:
    """Die at the n-th rename or removal of a folder; write_bundle's own cleaning up is then dead as well."""
    replace, rmtree, calls = os.replace, shutil.rmtree, iter(range(100))

    def at(real: Any, *arguments: Any, **options: Any) -> None:
        if Path(arguments[0]).is_dir() and next(calls) >= moment:
            raise Killed
        real(*arguments, **options)

    monkeypatch.setattr("limbeck.export.bundle.os.replace", lambda *a: at(replace, *a))
    monkeypatch.setattr("limbeck.export.bundle.shutil.rmtree", lambda *a, **o: at(rmtree, *a, **o))


@pytest.mark.parametrize("moment", [0, 1, 2])
def test_after_a_kill_the_next_call_finds_a_whole_folder(
    tmp_path: Path, trace: Trace, monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    folder = tmp_path / "export"
    before = write(folder, mlp(0), trace)
    with monkeypatch.context() as patch:
        kill_at(patch, moment)
        with pytest.raises(Killed):
            write(folder, mlp(1), trace)
    assert len(list(tmp_path.iterdir())) == 2  # something was left over
    with pytest.raises(ExportError):  # a call that fails still puts the place in order
        write(folder, mlp(2), trace, temperature=0.0)
    assert [path.name for path in tmp_path.iterdir()] == ["export"]
    assert {path.name for path in folder.iterdir()} == FILES
    assert (json.loads((folder / "manifest.json").read_text()) == before) == (moment < 2)
    write(folder, mlp(2), trace)
    assert [path.name for path in tmp_path.iterdir()] == ["export"]


def test_a_half_built_folder_is_removed(tmp_path: Path, trace: Trace) -> None:
    half = tmp_path / ".export.new"
    half.mkdir()
    (half / ".student.onnx.partial").write_bytes(b"half")
    write(tmp_path / "export", mlp(), trace)
    assert {path.name for path in (tmp_path / "export").iterdir()} == FILES
    assert not half.exists()


def test_a_full_disk_leaves_the_earlier_export(tmp_path: Path, trace: Trace, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "export"
    before = write(folder, mlp(0), trace)

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("limbeck.export.bundle.shutil.copyfile", full)
    with pytest.raises(DiskError, match="disk is full"):
        write(folder, mlp(1), trace)
    assert json.loads((folder / "manifest.json").read_text()) == before
    assert [path.name for path in tmp_path.iterdir()] == ["export"]


def test_a_folder_with_something_else_is_never_replaced(tmp_path: Path, trace: Trace) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    write(folder, mlp(), trace)  # empty: nothing to lose
    for name, content in (("manifest.json", '{"version": 3}'), ("cat.jpg", "")):
        other = tmp_path / name.replace(".", "-")
        other.mkdir()
        (other / name).write_text(content)
        with pytest.raises(FolderError, match=str(other)):
            write(other, mlp(), trace)
        assert (other / name).read_text() == content


def test_the_number_of_names_must_be_that_of_the_logits(tmp_path: Path, trace: Trace) -> None:
    with pytest.raises(ModelError, match="3 classes apart, but 2 names"):
        write(tmp_path / "export", mlp(), trace, classes=["a", "b"])
    assert list(tmp_path.iterdir()) == []


class Scaled(nn.Module):
    """Its answer depends on a plain number that no architecture hash can see."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale, self.head = scale, nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(x) * self.scale


def test_a_trace_with_other_constants_is_not_believed(tmp_path: Path) -> None:
    one, two = Adapted(Scaled(1.0), classes=3), Adapted(Scaled(-2.0), classes=3)
    wrong = trace_graph(one, shape=(4,), kind="vector")
    assert wrong.fits(two)
    write(tmp_path / "export", two, wrong)
    features = torch.randn(5, 4)
    np.testing.assert_allclose(answers(tmp_path / "export", features), two(features).logits.detach(), atol=1e-5)


class Forgetful(nn.Module):
    """Works at every batch size, yet mixes the samples of a batch: what a single sample gets is wrong."""

    def forward(self, x: Tensor) -> Tensor:
        return (x - x.mean(0))[:, :3]


def test_a_model_whose_answer_depends_on_the_batch_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="batches of 1 "):
        write(tmp_path / "export", Adapted(Forgetful(), classes=3), None)
    assert list(tmp_path.iterdir()) == []
