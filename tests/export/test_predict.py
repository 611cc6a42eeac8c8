from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from limbeck.data.pictures import decode
from limbeck.errors import FolderError, UserError
from limbeck.export.bundle import write_bundle
from limbeck.export.gate import exam_of
from limbeck.export.predict import predict
from limbeck.export.remedies import Int8Request
from limbeck.export.trace import Trace, trace_graph
from limbeck.models.adapt import Adapted, Normalise

SIZE = (12, 16)
CLASSES = ["bird", "cat", "dög", "fish"]


class Net(nn.Module):
    """A model of somebody's own: it returns a tuple, and its first layer sees every pixel's place."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())
        self.head = nn.Linear(4 * SIZE[0] * SIZE[1], 4)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = self.convolution(x).flatten(1)
        return self.head(features) * 8, features


@pytest.fixture(scope="module")
def model() -> Adapted:
    torch.manual_seed(0)
    return Adapted(Net(), classes=4, normalise=Normalise([0.4, 0.5, 0.6], [0.2, 0.3, 0.25]))


@pytest.fixture(scope="module")
def trace(model: Adapted) -> Trace:
    return trace_graph(model, shape=(3, *SIZE), kind="image")


def export(folder: Path, model: Adapted, trace: Trace, how: str) -> Path:
    samples = torch.randint(0, 256, (40, 3, *SIZE), generator=torch.Generator().manual_seed(3)).to(torch.uint8).numpy()
    write_bundle(
        folder,
        model=model,
        name="student",
        shape=(3, *SIZE),
        kind="image",
        classes=CLASSES,
        temperature=1.7,
        reading={"size": SIZE, "channels": "rgb", "resize": how, "background": "white"},
        source_hash="0",
        samples=torch.randint(0, 256, (9, 3, *SIZE)).to(torch.uint8),
        extra={"seed": 0},
        trace=trace,
        int8=Int8Request(samples, exam_of(samples, np.full(40, -1), tuple(CLASSES), 1.0)),
    )
    return folder


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, model: Adapted, trace: Trace) -> Path:
    return export(tmp_path_factory.mktemp("run") / "export", model, trace, "squash")


def scene(width: int, height: int, seed: int) -> Image.Image:
    """A smooth picture with no symmetry, so that a wrong turn or crop changes the answer."""
    corners = np.random.default_rng(seed).integers(0, 256, (4, 3, 3)).astype(np.uint8)
    return Image.fromarray(corners).resize((width, height), Image.Resampling.BICUBIC)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("photos")
    alpha = Image.linear_gradient("L").resize((40, 30))
    clear = scene(40, 30, 1).convert("RGBA")
    clear.putalpha(alpha)
    palette = scene(33, 21, 2).convert("P", palette=Image.Palette.ADAPTIVE)
    sixteen = Image.fromarray(np.asarray(scene(20, 30, 3).convert("L")).astype(np.uint16) * 257)
    scene(60, 40, 4).save(folder / "plain.jpg")
    for turn in range(2, 9):
        exif = Image.Exif()
        exif[0x0112] = turn
        scene(50, 37, 5).save(folder / f"turned {turn}.jpg", exif=exif)
    scene(31, 47, 6).convert("L").save(folder / "grey.png")
    scene(31, 47, 7).convert("CMYK").save(folder / "cmyk.jpg")
    palette.save(folder / "palette.png")
    palette.save(folder / "clear palette.png", transparency=bytes(range(256)))
    clear.save(folder / "rgba.png")
    clear.convert("LA").save(folder / "la.png")
    sixteen.save(folder / "sixteen bits.png")
    scene(10, 10, 8).convert("1").save(folder / "one bit.png")
    scene(16, 12, 9).save(folder / "exact.bmp")
    scene(3000, 2000, 10).save(folder / "big.jpg")
    return sorted(folder.iterdir())


def expected(model: Adapted, files: Sequence[Path], how: str) -> np.ndarray:
    """Probabilities by torch on the decoded files."""
    pixels = [
        decode(file, size=SIZE, channels="rgb", resize=how, background="white")  # type: ignore[arg-type]
        for file in files
    ]
    with torch.no_grad():
        logits = model.eval()(torch.from_numpy(np.stack(pixels)).float() / 255).logits
    return torch.softmax(logits / 1.7, 1).numpy()


def assert_same(found: Sequence[dict[str, Any]], files: Sequence[Path], wanted: np.ndarray) -> None:
    assert [one["file"] for one in found] == [str(file) for file in files]
    assert [one["class"] for one in found] == [CLASSES[row.argmax()] for row in wanted]
    np.testing.assert_allclose([one["probability"] for one in found], wanted.max(1), atol=1e-4)


def run(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False)


def test_own_photos_get_the_answers_of_torch(bundle: Path, model: Adapted, photos: list[Path]) -> None:
    wanted = expected(model, photos, "squash")
    assert len(set(wanted.argmax(1))) >= 3  # a test in which every picture is a cat would show nothing
    assert_same(list(predict(bundle, photos)), photos, wanted)


@pytest.mark.parametrize("how", ["squash", "crop", "pad"])
def test_the_script_beside_the_file_gives_the_same(
    tmp_path: Path, model: Adapted, trace: Trace, photos: list[Path], how: str
) -> None:
    folder = export(tmp_path / "moved elsewhere", model, trace, how)
    wanted = expected(model, photos, how)
    assert_same(list(predict(folder, photos)), photos, wanted)
    done = run("-I", folder / "predict.py", *photos, cwd=tmp_path)  # isolated: without PYTHONPATH
    assert (done.returncode, done.stderr) == (0, "")
    assert_same([json.loads(line) for line in done.stdout.splitlines()], photos, wanted)


def test_the_script_answers_for_the_files_that_it_can_read(bundle: Path, photos: list[Path], tmp_path: Path) -> None:
    (tmp_path / "notes.jpg").write_text("not a picture")
    files = [tmp_path / "gone.png", photos[0], tmp_path / "notes.jpg", tmp_path, photos[1]]
    done = run("-I", bundle / "predict.py", *files)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert (done.returncode, done.stderr) == (2, "")
    assert [one["file"] for one in found] == [str(file) for file in files]
    assert [one.get("class") is None for one in found] == [True, False, True, True, False]
    assert all(set(one) == {"file", "error"} and one["file"] in one["error"] for one in found if "error" in one)
    assert "is a folder; name the files in it" in found[3]["error"]


def test_the_script_writes_names_as_they_are(bundle: Path, photos: list[Path], tmp_path: Path) -> None:
    shutil.copyfile(photos[0], tmp_path / "grün.jpg")
    done = run("-I", bundle / "predict.py", "grün.jpg", cwd=tmp_path)
    assert done.stdout.startswith('{"file": "grün.jpg", ')


def test_the_script_says_how_it_is_used(bundle: Path) -> None:
    asked, mistaken = run("-I", bundle / "predict.py", "-h"), run("-I", bundle / "predict.py")
    assert (asked.returncode, asked.stderr) == (0, "")
    assert (mistaken.returncode, mistaken.stdout) == (2, "")
    assert asked.stdout == mistaken.stderr
    assert asked.stdout.startswith("Usage: python predict.py [--int8] FILE...")
    assert run("-I", bundle / "predict.py", "--help").stdout == asked.stdout


def test_order_and_count_are_kept_beyond_one_batch(
    bundle: Path, model: Adapted, photos: list[Path], tmp_path: Path
) -> None:
    small = [photo for photo in photos if photo.name != "big.jpg"]
    files = (small * 8)[:130]
    files[3] = files[70] = tmp_path / "missing.jpg"
    found = list(predict(bundle, files))
    assert [one["file"] for one in found] == [str(file) for file in files]
    assert [number for number, one in enumerate(found) if "error" in one] == [3, 70]
    good = [number for number in range(130) if number not in (3, 70)]
    assert_same(
        [found[i] for i in good],
        [files[i] for i in good],
        expected(model, [files[i] for i in good], "squash"),
    )


def test_a_file_that_cannot_be_read_is_named(bundle: Path, photos: list[Path], tmp_path: Path) -> None:
    (tmp_path / "notes.jpg").write_text("not a picture")
    (tmp_path / "half.jpg").write_bytes(photos[-1].read_bytes()[:150])
    files = [tmp_path / "notes.jpg", tmp_path / "half.jpg", tmp_path / "gone.png", tmp_path]
    found = list(predict(bundle, files))
    assert [set(one) for one in found] == [{"file", "error"}] * 4
    assert all(one["file"] in one["error"] for one in found)
    assert list(predict(bundle, [])) == []


def test_top_names_several_classes(bundle: Path, model: Adapted, photos: list[Path]) -> None:
    wanted = expected(model, photos[:2], "squash")
    for one, row in zip(predict(bundle, photos[:2], top=3), wanted, strict=True):
        assert [entry["class"] for entry in one["top"]] == [CLASSES[i] for i in np.argsort(-row)[:3]]
        assert one["top"][0] == {"class": one["class"], "probability": one["probability"]}
    everything = next(predict(bundle, photos[:1], top=99))["top"]
    assert sum(entry["probability"] for entry in everything) == pytest.approx(1)
    with pytest.raises(UserError, match="1 or more, got 0"):
        predict(bundle, photos, top=0)


def test_the_int8_file_answers_where_it_is_asked(bundle: Path, photos: list[Path], tmp_path: Path) -> None:
    plain, small = list(predict(bundle, photos)), list(predict(bundle, photos, int8=True))
    assert [one["file"] for one in small] == [one["file"] for one in plain]
    differences = [abs(a["probability"] - b["probability"]) for a, b in zip(plain, small, strict=True)]
    assert 0 < max(differences) < 0.3  # rounded, so it was another file, but the same model
    done = run("-I", bundle / "predict.py", "--int8", *photos, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["class"] for one in found] == [one["class"] for one in small]
    np.testing.assert_allclose([a["probability"] for a in found], [b["probability"] for b in small], atol=1e-5)


def test_a_bundle_without_an_int8_file_says_so(bundle: Path, photos: list[Path], tmp_path: Path) -> None:
    folder = tmp_path / "export"
    shutil.copytree(bundle, folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["files"]["student.int8.onnx"]
    manifest["graphs"]["int8"] = None
    manifest["int8"].update(passed=False, sentence="No int8 file ships: none of 3 attempts passed.")
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(FolderError, match=r"has no int8 file\. No int8 file ships: none of 3"):
        predict(folder, photos, int8=True)
    del manifest["int8"], manifest["graphs"]  # a bundle of an earlier version
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert len(list(predict(folder, photos[:2]))) == 2
    with pytest.raises(FolderError, match=r"has no int8 file\. export\.int8: true"):
        predict(folder, photos, int8=True)
    (folder / "manifest.json").write_text(json.dumps({**manifest, "graphs": {"fp32": "student.onnx", "int8": None}}))
    done = run("-I", folder / "predict.py", "--int8", photos[0])
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "This folder has no int8 file; see int8 in manifest.json.\n"


def test_the_run_folder_is_taken_too(bundle: Path, photos: list[Path]) -> None:
    assert list(predict(bundle.parent, photos[:3])) == list(predict(bundle, photos[:3]))


def test_a_foreign_folder_is_refused(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(FolderError, match=r"no folder .*nowhere"):
        predict(tmp_path / "nowhere", [])
    with pytest.raises(FolderError, match="not an export folder"):
        predict(tmp_path, [])
    for text, sentence in (("{", "cannot be read"), ("[]", "found None"), ('{"schema": 1}', "found 1;")):
        (tmp_path / "manifest.json").write_text(text)
        with pytest.raises(FolderError, match=sentence):
            predict(tmp_path, [])


def test_a_changed_graph_is_refused(bundle: Path, tmp_path: Path) -> None:
    folder = tmp_path / "export"
    shutil.copytree(bundle, folder)
    content = bytearray((folder / "student.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "student.onnx").write_bytes(content)
    with pytest.raises(FolderError, match=r"student.onnx is not the file .*expected SHA-256 .* found"):
        predict(folder, [])
    os.unlink(folder / "student.onnx")
    with pytest.raises(FolderError, match=r"student.onnx is missing"):
        predict(folder, [])


def test_torch_is_never_imported(bundle: Path, photos: list[Path]) -> None:
    code = (
        "import sys; from pathlib import Path; from limbeck.export.predict import predict\n"
        "print(*[one['class'] for one in predict(Path(sys.argv[1]), [Path(sys.argv[2])])])\n"
        "print('torch' in sys.modules)"
    )
    done = run("-c", code, bundle, photos[0])
    assert (done.stderr, done.stdout.splitlines()[1:]) == ("", ["False"])
