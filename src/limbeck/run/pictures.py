"""What the report shows of single samples and of training, as JSON values."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from limbeck.data.dataset import Data
from limbeck.run.answers import Answers

if TYPE_CHECKING:
    from limbeck.run.jobs import Trained

SHOWN = 24
LARGEST_SIDE = 96


def disagreements(teacher: Answers, student: Answers, seed: int, data: Data) -> list[dict[str, Any]]:
    """Return up to 24 test samples on which the student of a seed and the teacher name different classes.

    First those that the teacher has right and the student wrong, then by the student's confidence.
    """
    place = student.seeds.index(seed)
    mine, theirs = student.scores[place], teacher.scores[place if len(teacher.seeds) > 1 else 0]
    rows = np.flatnonzero(mine.argmax(1) != theirs.argmax(1))
    lost = theirs[rows].argmax(1) == student.labels[rows]
    order = np.lexsort((-mine[rows].max(1), ~lost))
    return [_shown(int(row), mine, theirs, student.labels, data) for row in rows[order][:SHOWN]]


def _shown(
    row: int, mine: NDArray[np.float64], theirs: NDArray[np.float64], labels: NDArray[np.int64], data: Data
) -> dict[str, Any]:
    return {
        "id": data.test.ids[row],
        "label": data.classes[labels[row]],
        "teacher": _top(theirs[row], data.classes),
        "student": _top(mine[row], data.classes),
        "png": png(data.test.inputs[row]) if data.kind == "image" else None,
    }


def _top(scores: NDArray[np.float64], classes: tuple[str, ...]) -> dict[str, Any]:
    return {"class": classes[int(scores.argmax())], "probability": float(scores.max())}


def png(pixels: Tensor) -> str | None:
    """Return a picture [channels, H, W] as base64 of a small PNG; None unless it is grey or colour."""
    if pixels.shape[0] not in (1, 3):
        return None
    values = pixels.cpu().numpy()
    if values.dtype != np.uint8:
        values = (np.clip(values, 0, 1) * 255).astype(np.uint8)
    image = Image.fromarray(values[0] if len(values) == 1 else values.transpose(1, 2, 0))
    image.thumbnail((LARGEST_SIDE, LARGEST_SIDE))
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def curves(trained: Iterable[Trained]) -> list[dict[str, Any]]:
    """Return loss, validation accuracy and, where it was measured, gradients by epoch; one entry for each seed."""
    return [
        {
            "seed": one.seed,
            "epochs": [record["epoch"] for record in one.progress.history],
            "loss": [record["loss"] for record in one.progress.history],
            "accuracy": [record["accuracy"] for record in one.progress.history],
            "gradients": [record.get("gradients") for record in one.progress.history],
        }
        for one in trained
        if one.progress.history
    ]
