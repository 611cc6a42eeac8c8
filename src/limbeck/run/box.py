"""A teacher that only answers, as a plan holds it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import torch
from torch import Tensor

from limbeck.data.dataset import Data
from limbeck.data.samples import Samples
from limbeck.data.views import Views
from limbeck.errors import FolderError, UserError
from limbeck.evaluate import cost
from limbeck.export.manifest import MANIFEST, check_file, read_manifest
from limbeck.knowledge.kept import Kept
from limbeck.models.adapt import Adapted
from limbeck.teachers.base import Teacher
from limbeck.teachers.classes import ClassMap, unknown_classes
from limbeck.teachers.mapped import MappedTeacher
from limbeck.teachers.meter import Meter, Spent


@dataclass(frozen=True, eq=False)
class Metered:
    """What a teacher whose every question counts has beside others. address: for messages; kept: gives the teacher with
    its stored answers for samples; meter: counts what is asked; before: what had been asked when the plan was made;
    batch_size: samples in a request; test: whether it is asked about test samples.
    """

    address: str
    kept: Callable[[Samples], Kept]
    meter: Meter
    before: Spent
    batch_size: int
    test: bool


class Cost(TypedDict):
    """What a use costs: parameters and multiply-adds, None if unknown; bytes; milliseconds by number of threads."""

    parameters: int | None
    bytes: int
    macs: int | None
    latency_ms: list[dict[str, float]]


@dataclass(frozen=True, eq=False)
class BlackBox:
    """A teacher that only answers.

    title: what it is; open: gives the teacher for samples and the rows of them (int64) that it will be asked about;
    stored: whether its answers were given before, for untouched samples alone; notes: for the report; cost: gives size
    and latency for one sample [1, ...], None where nothing is known of them; labels_seen: how many it was trained and
    validated on, None when nobody noted it; metered: for a teacher whose every question counts; members: of an
    ensemble, by name; seconds: that their training took in this run.
    """

    title: str
    open: Callable[[Samples, Tensor], Teacher]
    stored: bool
    notes: tuple[str, ...] = ()
    cost: Callable[[Tensor], Cost] | None = None
    labels_seen: int | None = None
    metered: Metered | None = None
    members: tuple[tuple[str, BlackBox], ...] = ()
    seconds: float = 0.0


def cost_of(model: Adapted) -> Callable[[Tensor], Cost]:
    """Return what gives size and latency of a model."""

    def found(one: Tensor) -> Cost:
        local = copy.deepcopy(model).cpu()
        size, times = cost.size(local, one), cost.latency(local, one, sorted({1, torch.get_num_threads()}))
        return {"parameters": size.parameters, "bytes": size.bytes, "macs": size.macs, "latency_ms": times}

    return found


def through(teacher: Teacher, classes: ClassMap) -> Teacher:
    """Return a teacher as it is heard through a class map."""
    return teacher if classes.trivial else MappedTeacher(teacher, classes)


def notes_on(classes: ClassMap, data: Data) -> tuple[str, ...]:
    """Return what the report should say about a class map."""
    unknown = unknown_classes(classes, data.classes)
    if not unknown:
        return ()
    told = f"{', '.join(unknown)}; such a class gets the probability 0 from it"
    return (f"The teacher knows nothing that stands for {told}.",)


def names_in_bundle(path: Path) -> Sequence[str] | None:
    """Return the classes that a Limbeck bundle's manifest beside a graph names, the graph checked by its hash."""
    if not (path.parent / MANIFEST).is_file():
        return None
    try:
        manifest = read_manifest(path.parent)
    except FolderError:  # another program's
        return None
    if path.name not in manifest["files"]:
        return None
    check_file(path.parent, path.name, manifest)
    return tuple(manifest["classes"])


def check_untouched_views(path: Path, views: Views | None) -> None:
    """Raise UserError where a file has answers for untouched samples, and the student is shown others."""
    if views is not None:
        raise UserError(
            f"The teacher's answers in {path} are for the samples as they are, but data.augment shows the student "
            f"changed ones; remove data.augment, or take a teacher that can be asked, such as onnx:."
        )
