"""Teachers known by their answers alone: a file of them, a graph, an address, a run whose classes are other ones."""

from __future__ import annotations

import copy
from pathlib import Path

import torch
from torch import Tensor

from limbeck.data.dataset import Data
from limbeck.data.samples import Samples
from limbeck.data.views import Views
from limbeck.errors import DataError, UserError
from limbeck.models.adapt import Adapted, Normalise
from limbeck.models.library import LIBRARIES
from limbeck.models.weights import read_card
from limbeck.recipe.data import NormaliseSection
from limbeck.recipe.sources import ANSWERING, BLACK_BOXES
from limbeck.recipe.teacher import ClassesSection, InputSection, OriginSection, TeacherSection
from limbeck.run.box import BlackBox, Cost, check_untouched_views, cost_of, names_in_bundle, notes_on, through
from limbeck.run.columns_box import columns_box
from limbeck.run.http_box import http_box
from limbeck.run.reload import check_prepared_alike, load_model
from limbeck.teachers.answers import read_answers
from limbeck.teachers.asking import Asking
from limbeck.teachers.base import Teacher
from limbeck.teachers.classes import map_classes
from limbeck.teachers.feeding import Feeding
from limbeck.teachers.keras_file import KerasTeacher
from limbeck.teachers.module import ModuleTeacher
from limbeck.teachers.onnx_file import OnnxTeacher, time_one
from limbeck.teachers.seen import check_unseen, count_seen
from limbeck.teachers.sklearn_file import SklearnTeacher
from limbeck.teachers.stored import StoredTeacher
from limbeck.types import Batch

TRIED = 32  # samples that a graph is tried out on
FILES = {"sklearn": SklearnTeacher, "keras": KerasTeacher}
IN_FILES = ("labels", "onnx", *FILES)


def black_box_of(
    section: OriginSection, source: str, data: Data, *, views: Views | None, path: str | None
) -> BlackBox | None:
    """Return the black box that a recipe's teacher is, None for one that is a model.

    source: with variables filled in; path: of the knowledge store, where the recipe names one. Raises the UserError of
    whatever does not fit.
    """
    kind, _, place = source.partition(":")
    file, classes = Path(place), section.classes or ClassesSection()
    if data.task != "classification":
        return columns_box(kind, file, _feeding(section), data, views) if kind in ANSWERING else None
    if kind in IN_FILES:
        return _file(kind, file, classes, _feeding(section), data, views)
    if kind in ("http", "https"):
        given = section.http if isinstance(section, TeacherSection) else None
        asking = Asking(**dict(given)) if given is not None else Asking()
        return http_box(source, asking, classes, _feeding(section), data, views=views, path=path)
    if section.ready:
        return _ready(section, classes, data)
    return _run(file, classes, data) if section.classes is not None else None


def black_box_from_text(text: str, data: Data, *, normalise: Normalise | None, views: Views | None) -> BlackBox | None:
    """Return the black box of a text such as "onnx:FILE", with every other key left out; None for another text."""
    kind, _, place = text.partition(":")
    path, classes, feeding = Path(place).expanduser(), ClassesSection(), Feeding(normalise=normalise)
    if not text.startswith(BLACK_BOXES):
        return None
    if data.task != "classification":
        return columns_box(kind, path, feeding, data, views)
    if kind in IN_FILES:
        return _file(kind, path, classes, feeding, data, views)
    return http_box(text, Asking(), classes, feeding, data, views=views, path=None)


def _file(
    kind: str, path: Path, classes: ClassesSection, feeding: Feeding, data: Data, views: Views | None
) -> BlackBox:
    if kind == "labels":
        return _file_of_answers(path, classes, data, views)
    return _graph(path, classes, feeding, data) if kind == "onnx" else _library_file(kind, path, classes, feeding, data)


def _file_of_answers(path: Path, classes: ClassesSection, data: Data, views: Views | None) -> BlackBox:
    check_untouched_views(path, views)
    answers = read_answers(path, classes.names or (None if classes.map else data.classes))
    theirs = answers.classes or classes.names
    mapped = map_classes(theirs, data.classes, count=answers.count, given=classes.map, who=str(path))

    def open_for(samples: Samples, rows: Tensor) -> Teacher:
        return through(StoredTeacher(answers, samples, rows, str(path)), mapped)

    return BlackBox(f"{path.name} ({answers.says})", open_for, True, notes_on(mapped, data))


def _graph(path: Path, classes: ClassesSection, feeding: Feeding, data: Data) -> BlackBox:
    names = classes.names or names_in_bundle(path)
    sample = data.pool.batch(data.train[:TRIED]).inputs
    graph = OnnxTeacher(path, sample, feeding)
    mapped = map_classes(names, data.classes, count=graph.classes, given=classes.map, who=str(path))

    def open_for(samples: Samples, rows: Tensor) -> Teacher:
        return through(graph, mapped)

    def cost_of(one: Tensor) -> Cost:
        size = path.stat().st_size
        return {"parameters": None, "bytes": size, "macs": None, "latency_ms": graph.latency(one)}

    return BlackBox(path.name, open_for, False, notes_on(mapped, data), cost_of)


def _library_file(kind: str, path: Path, classes: ClassesSection, feeding: Feeding, data: Data) -> BlackBox:
    sample = data.pool.batch(data.train[:TRIED]).inputs
    teacher = FILES[kind](path, sample, feeding)
    names = classes.names or (_own_names(teacher.names, data) if isinstance(teacher, SklearnTeacher) else None)
    mapped = map_classes(names, data.classes, count=teacher.classes, given=classes.map, who=str(path))
    parameters = teacher.parameters if isinstance(teacher, KerasTeacher) else None

    def open_for(samples: Samples, rows: Tensor) -> Teacher:
        return through(teacher, mapped)

    def cost_of(one: Tensor) -> Cost:
        times = time_one(lambda: teacher(Batch(one)), torch.get_num_threads())
        return {"parameters": parameters, "bytes": path.stat().st_size, "macs": None, "latency_ms": [times]}

    return BlackBox(path.name, open_for, False, notes_on(mapped, data), cost_of)


def _own_names(names: tuple[str, ...], data: Data) -> tuple[str, ...] | None:
    """Return what a classifier calls its classes, None where it only numbered those of the data."""
    numbered = names == tuple(str(number) for number in range(len(data.classes)))
    return None if numbered and set(names) != set(data.classes) else names


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
        return through(ModuleTeacher(copy.deepcopy(model).to(samples.device)), mapped)

    return BlackBox(card["title"], open_for, False, notes_on(mapped, data), cost_of(model), count_seen(folder))


def _ready(section: OriginSection, classes: ClassesSection, data: Data) -> BlackBox:
    """Return a model of a library that answers with its own head."""
    assert section.model is not None  # the recipe has checked it
    (name, options), *_ = section.model.model_dump(mode="json").items()
    if not (options["pretrained"] or options.get("weights") or name == "hf"):
        raise UserError(f"teacher.ready: {name}:{options['name']} knows nothing yet; give pretrained: true or weights.")
    net = LIBRARIES[name](data.shape, len(classes.names) if classes.names else None, **options)
    names = classes.names or net.own_names
    with torch.no_grad():
        count = net.eval()(data.pool.batch(data.train[:1]).inputs).shape[1]
    model = Adapted(net, classes=count)
    mapped = map_classes(names, data.classes, count=model.classes, given=classes.map, who=f"{name}:{options['name']}")

    def open_for(samples: Samples, rows: Tensor) -> Teacher:
        return through(ModuleTeacher(copy.deepcopy(model).to(samples.device)), mapped)

    return BlackBox(f"{name}:{options['name']}", open_for, False, notes_on(mapped, data), cost_of(model))


def _feeding(section: OriginSection) -> Feeding:
    given = section.input or InputSection()
    size = (given.size, given.size) if isinstance(given.size, int) else given.size
    normalise = section.normalise
    if normalise == "data":
        raise UserError(
            "teacher.normalise expects none, or the mean and std that the teacher was trained with; the statistics of "
            "this data are those of another model."
        )
    found = Normalise(normalise.mean, normalise.std) if isinstance(normalise, NormaliseSection) else None
    return Feeding(given.layout, given.scale, size, found)
