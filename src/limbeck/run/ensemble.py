"""An ensemble as the teacher of a run: its members are trained or taken, and then heard as one that only answers."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from limbeck.data.dataset import Data
from limbeck.data.samples import Samples
from limbeck.models.adapt import Adapted
from limbeck.run.box import BlackBox, Cost, cost_of
from limbeck.teachers.base import Teacher
from limbeck.teachers.ensemble import Combination, Combine, EnsembleTeacher, Weights
from limbeck.teachers.module import ModuleTeacher
from limbeck.teachers.onnx_file import time_one
from limbeck.teachers.seen import count_seen
from limbeck.types import Batch

if TYPE_CHECKING:
    from limbeck.run.plan import Plan, TeacherPlan

SAMPLE = 8  # inputs that a member is made ready with


@dataclass(frozen=True)
class Ensemble:
    """Several teachers of one label space, for `distill`.

    teachers: trained modules, folders of earlier runs, or texts such as "onnx:FILE"; combine: their mean of
    "probabilities" (at temperature 1, softened after) or of "logits"; weights: "equal", one for each teacher, or by
    sample "confidence" (1 over the exponential of a teacher's entropy) or "agreement" (how many name its top class).
    """

    teachers: Sequence[nn.Module | str | Path]
    combine: Combine = "probabilities"
    weights: Weights = "equal"


@dataclass(frozen=True, eq=False)
class Member:
    """One teacher of an ensemble. model: for one that is trained here or is a module, by this seed; else box."""

    name: str
    seed: int
    model: TeacherPlan | None = None
    box: BlackBox | None = None


@dataclass(frozen=True, eq=False)
class EnsemblePlan:
    """Which teachers answer together, and how."""

    members: tuple[Member, ...]
    combination: Combination


@dataclass(frozen=True, eq=False)
class Ready:
    """A member that can answer. labels_seen: how many it was trained and validated on, None when nobody noted it;
    seconds: that its training took.
    """

    model: Adapted
    labels_seen: int | None = None
    seconds: float = 0.0


def box_of(plan: EnsemblePlan, data: Data, trained: Mapping[str, Ready]) -> BlackBox:
    """Return an ensemble as a teacher that only answers; trained: its members with a model, by name.

    A member that is not trained yet answers with its starting weights. Raises the ObjectiveError of `EnsembleTeacher`.
    """
    boxes = {one.name: one.box or _box_of_model(one, data, trained.get(one.name)) for one in plan.members}

    def open_for(samples: Samples, rows: Tensor) -> Teacher:
        opened = {name: box.open(samples, rows) for name, box in boxes.items()}
        return EnsembleTeacher(opened, plan.combination)

    def cost_for(one: Tensor) -> Cost:
        return _cost(list(boxes.values()), open_for(data.pool, data.train), one)

    open_for(data.pool, data.train)  # says at once what cannot be combined
    seen = [box.labels_seen for box in boxes.values()]
    return BlackBox(
        title=f"ensemble of {len(boxes)}",
        open=open_for,
        stored=any(box.stored for box in boxes.values()),
        notes=tuple(note for box in boxes.values() for note in box.notes),
        cost=None if any(box.cost is None for box in boxes.values()) else cost_for,
        labels_seen=None if None in seen else max(count for count in seen if count is not None),
        members=tuple(boxes.items()),
        seconds=sum(one.seconds for one in trained.values()),
    )


def with_box(plan: Plan, box: BlackBox) -> Plan:
    """Return a plan, its variants too, whose teacher is this one."""
    variants = tuple(replace(one, plan=replace(one.plan, black_box=box)) for one in plan.variants)
    return replace(plan, black_box=box, variants=variants)


def _box_of_model(member: Member, data: Data, ready: Ready | None) -> BlackBox:
    assert member.model is not None  # else it is a box
    made = member.model.model
    ready = ready or Ready(made.make(len(data.classes), member.seed))
    model = ready.model

    def open_for(samples: Samples, rows: Tensor) -> Teacher:
        few = samples.batch(rows[:SAMPLE].to(samples.device)).inputs
        return ModuleTeacher(copy.deepcopy(model).to(samples.device), few)

    seen = ready.labels_seen if made.weights is None else count_seen(made.weights.parent)
    return BlackBox(made.title, open_for, False, cost=cost_of(model), labels_seen=seen)


def _cost(boxes: Sequence[BlackBox], teacher: Teacher, one: Tensor) -> Cost:
    """Return what an answer takes: of all members together; a number that one of them does not know is not known."""
    each = [box.cost(one) for box in boxes if box.cost is not None]
    parameters, work = [cost["parameters"] for cost in each], [cost["macs"] for cost in each]
    return {
        "parameters": None if None in parameters else sum(count or 0 for count in parameters),
        "bytes": sum(cost["bytes"] for cost in each),
        "macs": None if None in work else sum(count or 0 for count in work),
        "latency_ms": [time_one(lambda: teacher(Batch(one)), torch.get_num_threads())],
    }
