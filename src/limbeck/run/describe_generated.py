"""What the report tells about generated samples: gauges over time, pictures by class, distances to real samples."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from limbeck.data.dataset import Data
from limbeck.run.generated import FOLDER, MANIFEST
from limbeck.run.pictures import png
from limbeck.run.plan import Plan
from limbeck.synthesis.nearest import nearest

COMPARED = 1000
SHOWN = 8  # of each class


def describe_generated(plan: Plan, folder: Path) -> dict[str, Any] | None:
    """Return the report's `generated`; None where no samples were. folder: of the run.

    Distances are those of 1,000 samples to the nearest training sample of the teacher, where these are known: of
    generated ones, and of the test samples as the measure of what is near by chance. Values are as a model takes them.
    """
    if plan.generated is None or plan.real is None:
        return None
    path = folder / FOLDER / MANIFEST
    told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    rows = plan.data.train[: len(plan.data.train) - _real_beside(plan)]
    return {
        "preset": plan.generated.preset,
        "samples": len(rows),
        "real": plan.generated.real,
        "rounds": told.get("rounds"),
        "seconds": told.get("seconds"),
        "questions": told.get("questions"),
        "gauges": told.get("gauges", []),
        "pictures": _pictures(plan, folder, rows),
        "nearest": _nearest(plan.real, plan.data, rows),
    }


def seconds_of_generating(folder: Path) -> dict[str, float]:
    """Return the time that making samples took, for the cost of a run; nothing where none were made."""
    path = folder / FOLDER / MANIFEST
    return {"generating": json.loads(path.read_text(encoding="utf-8"))["seconds"]} if path.is_file() else {}


def _real_beside(plan: Plan) -> int:
    assert plan.generated is not None
    return len(plan.data.shown.get("labels", ())) if plan.generated.real == "together" else 0


def _pictures(plan: Plan, folder: Path, rows: Tensor) -> dict[str, dict[str, list[str | None]]] | None:
    """Return some generated and real pictures of each class, base64 of PNG; None for other samples.

    The class of a generated one is what the report's teacher says; without stored answers, none are shown.
    """
    data, real = plan.data, plan.real
    assert real is not None  # the caller looks
    if data.kind != "image" or not (folder / FOLDER / MANIFEST).is_file():
        return None
    seen = _classes(folder)
    found: dict[str, dict[str, list[str | None]]] = {}
    for number, name in enumerate(data.classes):
        made = rows[(seen == number).nonzero().squeeze(1)[-SHOWN:]]
        taken = real.train[real.pool.labels[real.train] == number][:SHOWN]
        found[name] = {
            "generated": [png(data.pool.inputs[row]) for row in made.tolist()],
            "real": [png(real.pool.inputs[row]) for row in taken.tolist()],
        }
    return found


def _classes(folder: Path) -> Tensor:
    """Return the teacher's top class of each generated sample, in the order of the rows: int64 [N]."""
    files = json.loads((folder / FOLDER / MANIFEST).read_text(encoding="utf-8"))["files"]
    return torch.cat([load_file(folder / FOLDER / name)["logits"].argmax(1) for name in files])


def _nearest(real: Data, data: Data, rows: Tensor) -> dict[str, Any]:
    """Return quantiles of the distance to the nearest training sample, of generated and of test samples."""
    others = real.pool.batch(real.train).inputs
    spread = torch.linspace(0, len(rows) - 1, min(COMPARED, len(rows))).long()
    made = nearest(data.pool.batch(rows[spread]).inputs, others)
    tested = nearest(data.test.batch(torch.arange(min(COMPARED, len(data.test)))).inputs, others)
    near = float((made < tested.quantile(0.01)).double().mean())
    return {"generated": _quantiles(made), "test": _quantiles(tested), "nearer_than_1_percent_of_test": near}


def _quantiles(distances: Tensor) -> dict[str, float]:
    shares = {"least": 0.0, "1_percent": 0.01, "median": 0.5}
    return {name: float(distances.quantile(share)) for name, share in shares.items()}
