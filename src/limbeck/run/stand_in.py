"""The data of a run whose student learns from generated samples: these, and what its controls learn from instead."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from limbeck.data.combine import concatenate, take, without_labels
from limbeck.data.dataset import Data
from limbeck.data.samples import Samples
from limbeck.recipe.tasks import STAND_INS
from limbeck.run.plan import Plan
from limbeck.synthesis.frame import Frame
from limbeck.synthesis.noise import gaussian_noise, matched_noise, uniform_noise
from limbeck.types import known

LABELLED = "labels"
MEAN, STD = 0.5, 0.25  # of pictures that nobody says anything about


def stand_in(plan: Plan, inputs: Tensor) -> Data:
    """Return the plan's data with generated samples, inputs [N, ...] as stored, in the place of its training samples.

    Beside them are the samples that each control learns from, as many, and where the recipe wants them the labelled
    real ones of the first seed, which then also validate. Without those nothing validates.
    """
    data, section = plan.data, plan.generated
    assert section is not None  # the caller looks
    parts = {"generated": _unlabelled(inputs, "generated")}
    parts |= {name: _other(plan, name, len(inputs)) for name in plan.controls if name in STAND_INS}
    labels = plan.visible_labels(plan.seeds[0])
    trains, validates = (rows[known(labels[rows])] for rows in (data.train, data.validation))
    if section.real != "none":
        real = replace(data.pool, labels=labels)
        parts |= {"real": take(real, trains.numpy()), "validation": take(real, validates.numpy())}
    rows = _rows({name: len(part) for name, part in parts.items()})
    shown = {name: rows[name] for name in STAND_INS if name in rows}
    shown |= {LABELLED: rows["real"]} if "real" in rows else {}
    together = [rows["real"]] if section.real == "together" else []
    return replace(
        data,
        pool=concatenate(list(parts.values())),
        train=torch.cat([rows["generated"], *together]),
        validation=rows.get("validation", torch.zeros(0, dtype=torch.int64)),
        notes=(*data.notes, _told(plan, len(inputs), len(trains))),
        shown=shown,
    )


def frame_of(plan: Plan, device: torch.device | None = None) -> Frame:
    """Return what the plan's samples look like, as far as the student's normalisation tells."""
    data, normalise = plan.data, plan.student.normalise
    pictures = data.kind == "image" and data.pool.inputs.dtype == torch.uint8
    mean = torch.tensor([MEAN if pictures else 0.0]) if normalise is None else normalise.mean
    std = torch.tensor([STD if pictures else 1.0]) if normalise is None else normalise.std
    return Frame(data.shape, pictures, mean.to(device or "cpu"), std.to(device or "cpu"))


def _other(plan: Plan, name: str, count: int) -> Samples:
    """Return what a control learns from in the place of generated samples."""
    assert plan.generated is not None
    if name == "proxy":
        assert plan.proxy is not None  # else there is no such control
        return without_labels(plan.proxy, "proxy/")
    frame, generator = frame_of(plan), torch.Generator().manual_seed(plan.generated.seed + 1)
    if name == "matched_noise":
        drawn = matched_noise(plan.data.pool.batch(plan.data.train).inputs, count, generator)
    else:
        drawn = (gaussian_noise if name == "gaussian_noise" else uniform_noise)(frame, count, generator)
    return _unlabelled(frame.stored(drawn), name)


def _unlabelled(inputs: Tensor, name: str) -> Samples:
    ids = tuple(f"{name}/{number:07}" for number in range(len(inputs)))
    return Samples(inputs, torch.full((len(inputs),), -1), ids)


def _rows(counts: dict[str, int]) -> dict[str, Tensor]:
    """Return the rows of each part in all of them, one after the other."""
    starts = torch.tensor([0, *counts.values()]).cumsum(0).tolist()
    return {name: torch.arange(starts[place], starts[place + 1]) for place, name in enumerate(counts)}


def _told(plan: Plan, count: int, real: int) -> str:
    """Say what the student sees."""
    assert plan.generated is not None
    also = {
        "none": "it sees no real sample, and the test samples are real",
        "labels": f"it sees {real:,} labelled real ones in stages that learn labels, and the test samples are real",
        "together": f"it sees them beside {real:,} labelled real ones, and the test samples are real",
    }
    return (
        f"The student learns from {count:,} generated samples ({plan.generated.preset}); {also[plan.generated.real]}."
    )
