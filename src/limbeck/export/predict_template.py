"""Ask student.onnx about files: python predict.py [--int8] FILE... (needs onnxruntime, numpy and pillow only)."""

import csv
import io
import json
import math
import re
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

USAGE = (
    "Usage: python predict.py [--int8] FILE...   Prints a JSON line for each sample: file, and class and probability, "
    "values, or labels and probabilities, or error. --int8 asks student.int8.onnx, where there is one."
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


def table(file: str, entry: dict[str, Any]) -> dict[str, Any]:
    """Read the model's columns from a CSV file, by the names in its header: an array for each input of the graph."""
    text = Path(file).read_text(encoding="utf-8-sig")
    first = re.sub('"[^"]*"', "", text.partition("\n")[0])
    lines = list(csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t|", key=first.count)))
    header = [name.strip() for name in lines[0]] if lines else []
    cells = [line for line in lines[1:] if line]
    for name in (name for given in entry["inputs"].values() for name in given["columns"]):
        if header.count(name) != 1:
            raise ValueError(f'{file}: one column "{name}" is needed; there are {", ".join(header) or "none"}')
    if not cells:
        raise ValueError(f"{file}: there is no row below the header")
    found = {}
    for name, given in entry["inputs"].items():
        places = [header.index(column) for column in given["columns"]]
        one, kind = (number, np.float32) if given["type"] == "float32" else (category, object)
        rows = [one_row(row + 2, line, header, places, one, entry["missing"]) for row, line in enumerate(cells)]
        found[name] = np.array(rows, kind)
    return found


def one_row(
    row: int, line: list[str], header: list[str], places: list[int], read: Any, missing: list[str]
) -> list[Any]:
    """Read some cells of a row; row: its number in the file, the header being row 1."""
    if len(line) != len(header):
        raise ValueError(f"row {row} has {len(line)} cells, but the header has {len(header)}")
    values = []
    for place in places:
        try:
            values.append(read(line[place].strip(), missing))
        except ValueError:
            cell, column = line[place], header[place]
            raise ValueError(f'row {row}, column "{column}": "{cell}" is not a number in reach') from None
    return values


def number(cell: str, missing: list[str]) -> float:
    """Read a cell as a number, NaN where it says nothing."""
    value = math.nan if cell in missing else float(cell)
    if abs(value) > np.finfo(np.float32).max:
        raise ValueError
    return value


def category(cell: str, missing: list[str]) -> str:
    """Read a cell as a text, "" where it says nothing."""
    return "" if cell in missing else cell


def samples(file: str, manifest: dict[str, Any]) -> dict[str, Any]:
    """Read a file as what the graph takes."""
    if manifest["table"]:
        return table(file, manifest["table"])
    entry = manifest["input"]
    return {entry["name"]: picture(file, entry) if entry["size"] else rows(file, entry)}


def answers(session: Any, manifest: dict[str, Any], file: str) -> list[dict[str, Any]]:
    """Return {"file", "class", "probability"} or the like for each sample of a file, or {"file", "error"} once."""
    try:
        inputs = samples(file, manifest)
    except BROKEN as error:
        reason = f"{file} is a folder; name the files in it" if Path(file).is_dir() else str(error)
        return [{"file": file, "error": reason}]
    found = session.run(manifest["outputs"][-1:], inputs)[0]
    rows = [{} if manifest["input"]["size"] else {"row": row} for row in range(len(found))]
    return [{"file": file, **row, **answer(one, manifest)} for row, one in zip(rows, found, strict=True)]


def answer(said: Any, manifest: dict[str, Any]) -> dict[str, Any]:
    """Return what the model's answer for one sample means."""
    named = dict(zip(manifest["classes"], map(float, said), strict=True))
    if manifest["outputs"] == ["values"]:
        return {"values": named}
    if manifest.get("task") == "multi_label":
        return {"labels": [name for name, chance in named.items() if chance > 0.5], "probabilities": named}
    return {"class": manifest["classes"][int(said.argmax())], "probability": float(said.max())}


def main(folder: Path, files: list[str]) -> int:
    """Print a JSON line for each sample and return the exit code: 2 if a file could not be read."""
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
    return 2 if failed else 0


if __name__ == "__main__":
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")
    sys.exit(main(Path(__file__).parent, sys.argv[1:]))
