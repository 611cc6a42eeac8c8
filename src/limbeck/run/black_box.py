"""Teachers known by their answers alone: a file of them, an ONNX graph, or a run whose classes are other ones."""

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
from limbeck.errors import DataError, FolderError, UserError
from limbeck.evaluate import cost
from limbeck.export.manifest import MANIFEST, check_file, read_manifest
from limbeck.models.adapt import Normalise
from limbeck.models.weights import read_card
from limbeck.recipe.model import BLACK_BOXES, ClassesSection, InputSection, NormaliseSection, TeacherSection
from limbeck.run.reload import check_prepared_alike, load_model
from limbeck.teachers.answers import read_answers
from limbeck.teachers.base import Teacher
from limbeck.teachers.classes import ClassMap, map_classes, unknown_classes
from limbeck.teachers.mapped import MappedTeacher
from limbeck.teachers.module import ModuleTeacher
from limbeck.teachers.onnx_file import Feeding, OnnxTeacher
from limbeck.teachers.seen import check_unseen, count_seen
from limbeck.teachers.stored import StoredTeacher

TRIED = 32  # samples that a graph is tried out on


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
    validated on, None when nobody noted it.
    """

    title: str
    open: Callable[[Samples, Tensor], Teacher]
    stored: bool
    notes: tuple[str, ...] = ()
    cost: Callable[[Tensor], Cost] | None = None
    labels_seen: int | None = None


def black_box_of(section: TeacherSection, source: str, data: Data, *, augmented: bool) -> BlackBox | None:
    """Return the black box that a recipe's teacher is, None for one that is a model; source: with variables filled in.

    Raises the UserError of whatever does not fit.
    """
    kind, _, place = source.partition(":")
    path, classes = Path(place), section.classes or ClassesSection()
    if kind == "labels":
        return _file_of_answers(path, classes, data, augmented)
    if kind == "onnx":
        return _graph(path, classes, _feeding(section), data)
    return _run(path, classes, data) if section.classes is not None else None


def black_box_from_text(text: str, data: Data, *, normalise: Normalise | None, augmented: bool) -> BlackBox | None:
    """Return the black box of a text such as "onnx:FILE", with every other key left out; None for another text."""
    kind, _, place = text.partition(":")
    path, classes = Path(place).expanduser(), ClassesSection()
    if not text.startswith(BLACK_BOXES):
        return None
    if kind == "labels":
        return _file_of_answers(path, classes, data, augmented)
    return _graph(path, classes, Feeding(normalise=normalise), data)


def _file_of_answers(path: Path, classes: ClassesSection, data: Data, augmented: bool) -> BlackBox:
    if augmented:
        raise UserError(
            f"The teacher's answers in {path} are for the samples as they are, but data.augment shows the student "
            f"changed ones; remove data.augment, or take a teacher that can be asked, such as onnx:."
        )
    answers = read_answers(path, classes.names or (None if classes.map else data.classes))
    theirs = answers.classes or classes.names
    mapped = map_classes(theirs, data.classes, count=answers.count, given=classes.map, who=str(path))

    def open_for(samples: Samples, rows: Tensor) -> Teacher:
        return _through(StoredTeacher(answers, samples, rows, str(path)), mapped)

    return BlackBox(f"{path.name} ({answers.says})", open_for, True, _notes(mapped, data))


def _graph(path: Path, classes: ClassesSection, feeding: Feeding, data: Data) -> BlackBox:
    names = classes.names or _names_in_bundle(path)
    sample = data.pool.batch(data.train[:TRIED]).inputs
    graph = OnnxTeacher(path, sample, feeding)
    mapped = map_classes(names, data.classes, count=graph.classes, given=classes.map, who=str(path))

    def open_for(samples: Samples, rows: Tensor) -> Teacher:
        return _through(graph, mapped)

    def cost_of(one: Tensor) -> Cost:
        size = path.stat().st_size
        return {"parameters": None, "bytes": size, "macs": None, "latency_ms": graph.latency(one)}

    return BlackBox(path.name, open_for, False, _notes(mapped, data), cost_of)


def _run(run: Path, classes: ClassesSection, data: Data) -> BlackBox:
    folder = run / "teacher" if (run / "teacher").is_dir() else run
    card, model = read_card(folder), load_model(folder)
    check_prepared_alike(folder, data)
    if tuple(card["shape"]) != data.shape:
        raise DataError(
            f"The teacher in {folder} was made for samples {card['shape']}; this data has {list(data.shape)}."
        )
    check_unseen(folder, data)
    names = classes.names or card["classes"]
    mapped = map_classes(names, data.classes, count=model.classes, given=classes.map, who=str(folder))

    def open_for(samples: Samples, rows: Tensor) -> Teacher:
        return _through(ModuleTeacher(copy.deepcopy(model).to(samples.device)), mapped)

    def cost_of(one: Tensor) -> Cost:
        local = copy.deepcopy(model).cpu()
        found, times = cost.size(local, one), cost.latency(local, one, sorted({1, torch.get_num_threads()}))
        return {"parameters": found.parameters, "bytes": found.bytes, "macs": found.macs, "latency_ms": times}

    return BlackBox(card["title"], open_for, False, _notes(mapped, data), cost_of, count_seen(folder))


def _names_in_bundle(path: Path) -> Sequence[str] | None:
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


def _feeding(section: TeacherSection) -> Feeding:
    given = section.input or InputSection()
    size = (given.size, given.size) if isinstance(given.size, int) else given.size
    normalise = section.normalise
    if normalise == "data":
        raise UserError(
            "teacher.normalise expects none, or the mean and std that the ONNX file was trained with; the statistics "
            "of this data are those of another model."
        )
    found = Normalise(normalise.mean, normalise.std) if isinstance(normalise, NormaliseSection) else None
    return Feeding(given.layout, given.scale, size, found)


def _through(teacher: Teacher, classes: ClassMap) -> Teacher:
    return teacher if classes.trivial else MappedTeacher(teacher, classes)


def _notes(classes: ClassMap, data: Data) -> tuple[str, ...]:
    unknown = unknown_classes(classes, data.classes)
    if not unknown:
        return ()
    told = f"{', '.join(unknown)}; such a class gets the probability 0 from it"
    return (f"The teacher knows nothing that stands for {told}.",)
