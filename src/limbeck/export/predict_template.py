"""Classify files with student.onnx: python predict.py [--int8] FILE... (needs onnxruntime, numpy and pillow only)."""

import io
import json
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

USAGE = (
    "Usage: python predict.py [--int8] FILE...   Prints a JSON line for each sample: file, class and probability, or "
    "error. --int8 asks student.int8.onnx, where there is one."
)
BROKEN = (  # what Pillow and numpy raise for a file that they cannot read
    OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, AttributeError, OverflowError,
    RuntimeError, MemoryError, struct.error, Image.DecompressionBombError,
)  # fmt: skip


def picture(file: str, entry: dict[str, Any]) -> Any:
    """Read a picture as uint8 [1, channels, height, width], upright, on the manifest's background."""
    opened, (height, width) = Image.open(file), entry["size"]
    opened.draft(None, (2 * max(height, width), 2 * max(height, width)))  # a large JPEG, as in training
    image = ImageOps.exif_transpose(opened)
    if image.mode.startswith("I"):  # 16 bits
        image = Image.fromarray(np.rint(np.asarray(image) / 257.0).astype(np.uint8))
    if image.has_transparency_data:
        behind = Image.new("RGBA", image.size, entry["background"])
        image = Image.alpha_composite(behind, image.convert("RGBA"))
    image = image.convert("L" if entry["channels"] == "grey" else "RGB")
    if image.size != (width, height):
        image = resize(image, (width, height), entry["resize"], entry["background"])
    return np.asarray(image).reshape(1, height, width, -1).transpose(0, 3, 1, 2)


def resize(image: Image.Image, size: tuple[int, int], how: str, background: str) -> Image.Image:
    """Resize to (width, height) by "squash", "crop" or "pad"."""
    if how == "squash":
        return image.resize(size, Image.Resampling.BILINEAR)
    if how == "crop":
        return ImageOps.fit(image, size, Image.Resampling.BILINEAR)
    scale = min(size[0] / image.width, size[1] / image.height)
    inner = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    padded = Image.new(image.mode, size, background)
    corner = ((size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2)
    padded.paste(image.resize(inner, Image.Resampling.BILINEAR), corner)
    return padded


def rows(file: str, entry: dict[str, Any]) -> Any:
    """Read samples from .npy, or one a row from .csv."""
    values = np.load(file) if file.endswith(".npy") else np.loadtxt(file, delimiter=",")
    return values.reshape(-1, *entry["shape"]).astype(entry["type"])


def answers(session: Any, manifest: dict[str, Any], file: str) -> list[dict[str, Any]]:
    """Return {"file", "class", "probability"} for each sample of a file, or {"file", "error"} once."""
    entry, classes = manifest["input"], manifest["classes"]
    try:
        inputs = picture(file, entry) if entry["size"] else rows(file, entry)
    except BROKEN as error:
        reason = f"{file} is a folder; name the files in it" if Path(file).is_dir() else str(error)
        return [{"file": file, "error": reason}]
    chances = session.run(["probabilities"], {entry["name"]: inputs})[0]
    return [{"file": file, "class": classes[int(row.argmax())], "probability": float(row.max())} for row in chances]


def main(folder: Path, files: list[str]) -> int:
    """Print a JSON line for each sample and return the exit code: 1 if a file could not be read."""
    int8, files = "--int8" in files[:1], [file for place, file in enumerate(files) if place or file != "--int8"]
    if not files or files[0] in ("-h", "--help"):
        print(USAGE, file=sys.stdout if files else sys.stderr)
        return 0 if files else 2
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    graph = manifest["graphs"]["int8" if int8 else "fp32"]
    if graph is None:
        print("This folder has no int8 file; see int8 in manifest.json.", file=sys.stderr)
        return 2
    session = onnxruntime.InferenceSession(folder / graph, providers=["CPUExecutionProvider"])
    failed = False
    for file in files:
        for answer in answers(session, manifest, file):
            failed = failed or "error" in answer
            print(json.dumps(answer, ensure_ascii=False))
    return int(failed)


if __name__ == "__main__":
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")
    sys.exit(main(Path(__file__).parent, sys.argv[1:]))
