"""Answers of an export folder about files: ONNX Runtime, NumPy and Pillow, never torch.

Shapes: N samples, C classes, or values or labels of each.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limbeck.data.pictures import decode
from limbeck.data.table import Columns
from limbeck.errors import DataError, UserError
from limbeck.export.manifest import check_file, find_bundle, graph_name, read_manifest
from limbeck.export.run_onnx import Session

PICTURES_AT_ONCE = 64
DECISION = 0.5  # a label with a higher probability is said to be there


def predict(bundle: Path, files: Sequence[Path], *, top: int = 1, int8: bool = False) -> Iterator[dict[str, Any]]:
    """Yield what the exported model says about each file, in the given order.

    bundle: an export folder, or the run folder around one. files: pictures; for a model of tables, CSV files with a
    header that names its columns; for a model of arrays, .npy [N, ...] or .csv (one sample a row, numbers only, no
    header). top: how many classes to name, 1 or more. int8: ask the int8 file in place of the float file.
    Yields {"file", "class", "probability"}, with "row" (counted from 0) for tables and arrays and "top", a list of
    {"class", "probability"}, where top > 1; {"file", "error"} for a file that cannot be read. A model of values gives
    {"values"} by name in place of a class, one of several labels {"labels", "probabilities"}: the names of those above
    0.5, and the probability of each. Raises
    FolderError, before the first answer, if the folder is missing, foreign or changed since the export, or has no int8
    file where that is asked for.
    """
    if top < 1:
        raise UserError(f"The number of classes to name must be 1 or more, got {top}.")
    folder = find_bundle(bundle)
    manifest = read_manifest(folder)
    session = Session(check_file(folder, graph_name(folder, manifest, int8=int8), manifest))
    if manifest.get("table"):
        return _predict_tables(session, manifest, files, top)
    if manifest["input"]["size"] is None:
        return _predict_arrays(session, manifest, files, top)
    return _predict_pictures(session, manifest, files, top)


def _predict_pictures(
    session: Session, manifest: dict[str, Any], files: Sequence[Path], top: int
) -> Iterator[dict[str, Any]]:
    with ThreadPoolExecutor() as pool:
        for start in range(0, len(files), PICTURES_AT_ONCE):
            some = files[start : start + PICTURES_AT_ONCE]
            read = list(pool.map(lambda file: _picture(file, manifest["input"]), some))
            pixels = [one for one in read if not isinstance(one, DataError)]
            chances = iter(session.logits_and_probabilities(np.stack(pixels))[1] if pixels else ())
            for file, one in zip(some, read, strict=True):
                if isinstance(one, DataError):
                    yield {"file": str(file), "error": str(one)}
                else:
                    yield {"file": str(file), **answer_of(next(chances), manifest, top)}


def _picture(file: Path, entry: dict[str, Any]) -> NDArray[np.uint8] | DataError:
    height, width = entry["size"]
    if file.is_dir():
        return DataError(f"{file} is a folder; name the pictures in it.")
    try:
        return decode(
            file,
            size=(height, width),
            channels=entry["channels"],
            resize=entry["resize"],
            background=entry["background"],
            name=str(file),
        )
    except DataError as error:
        return error


def _predict_tables(
    session: Session, manifest: dict[str, Any], files: Sequence[Path], top: int
) -> Iterator[dict[str, Any]]:
    from limbeck.data.csv_file import read_rows  # pyarrow is slow to start, and pictures do without it

    inputs = manifest["table"]["inputs"]
    names = {name: tuple(entry["columns"]) for name, entry in inputs.items()}
    columns = Columns(names.get("numbers", ()), names.get("categories", ()))
    for file in files:
        try:
            rows = read_rows(file, columns)
        except DataError as error:
            yield {"file": str(file), "error": str(error)}
            continue
        chances = session.logits_and_probabilities(rows.feed())[1]
        for row, one in enumerate(chances):
            yield {"file": str(file), "row": row, **answer_of(one, manifest, top)}


def _predict_arrays(
    session: Session, manifest: dict[str, Any], files: Sequence[Path], top: int
) -> Iterator[dict[str, Any]]:
    for file in files:
        try:
            samples = read_samples(file, tuple(manifest["input"]["shape"]), manifest["input"]["type"])
        except DataError as error:
            yield {"file": str(file), "error": str(error)}
            continue
        chances = session.logits_and_probabilities(samples)[1]
        for row, one in enumerate(chances):
            yield {"file": str(file), "row": row, **answer_of(one, manifest, top)}


def read_samples(file: Path, shape: tuple[int, ...], dtype: str) -> NDArray[Any]:
    """Read samples [N, *shape] from a .npy file, or from a .csv file with one sample a row.

    dtype: "uint8" for pixels 0..255, "float32" for features. Raises DataError, naming the file, if it
    cannot be read or holds samples of another shape or range, or no finite numbers.
    """
    values = _load(file)
    if values.size == 0:
        raise DataError(f"{file}: expected at least one sample, but the file is empty.")
    width = int(np.prod(shape))
    if values.shape[1:] != shape and values.shape != shape and (values.ndim != 2 or values.shape[1] != width):
        raise DataError(f"{file}: expected samples of shape {list(shape)}, got an array of shape {list(values.shape)}.")
    samples = values.reshape(-1, *shape)
    finite = np.isfinite(samples).reshape(len(samples), -1).all(1)
    if not finite.all():
        raise DataError(f"{file}: row {int(finite.argmin())} holds a number that is not finite.")
    if dtype == "uint8" and not (samples.min() >= 0 and samples.max() <= 255 and (samples % 1 == 0).all()):
        raise DataError(f"{file}: expected pixels, whole numbers from 0 to 255.")
    return samples.astype(dtype)


def _load(file: Path) -> NDArray[Any]:
    if file.is_dir():
        raise DataError(f"{file} is a folder; name the files in it.")
    try:
        if file.suffix == ".npy":
            values: NDArray[Any] = np.load(file, allow_pickle=False)
        elif file.suffix == ".csv":
            lines = [line for line in file.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
            values = np.array([[float(cell) for cell in line.split(",")] for line in lines])
        else:
            raise DataError(f"{file}: this model reads .npy or .csv files, one sample a row.")
    except FileNotFoundError:
        raise DataError(f"{file}: there is no such file.") from None
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{file}: cannot be read as rows of numbers: {error}.") from None
    if values.dtype.kind not in "biuf":
        raise DataError(f"{file}: expected numbers, found values of type {values.dtype}.")
    return values


def answer_of(said: NDArray[np.float32], manifest: dict[str, Any], top: int) -> dict[str, Any]:
    """Return what a model's last output [C] for one sample says, by the task in its manifest."""
    classes, task = manifest["classes"], manifest.get("task")
    if task is None or task == "classification":
        return _best(said, classes, top)
    named = {name: float(one) for name, one in zip(classes, said, strict=True)}
    if task == "regression":
        return {"values": named}
    return {"labels": [name for name, chance in named.items() if chance > DECISION], "probabilities": named}


def _best(chances: NDArray[np.float32], classes: Sequence[str], top: int) -> dict[str, Any]:
    order = np.argsort(-chances, kind="stable")[:top]
    named = [{"class": classes[column], "probability": float(chances[column])} for column in order]
    return {**named[0], **({"top": named} if top > 1 else {})}
