"""Teachers known by their answers alone, where labels are no classes: a graph, a scikit-learn model, a file of them."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from limbeck.data.dataset import Data
from limbeck.data.samples import Samples
from limbeck.data.views import Views
from limbeck.errors import UserError
from limbeck.run.box import BlackBox, Cost, check_untouched_views, names_in_bundle
from limbeck.teachers.answer_columns import read_answer_columns
from limbeck.teachers.base import Teacher
from limbeck.teachers.columns import Columns
from limbeck.teachers.feeding import Feeding
from limbeck.teachers.onnx_file import OnnxTeacher, time_one
from limbeck.teachers.sklearn_columns import SklearnColumns
from limbeck.teachers.stored import StoredTeacher
from limbeck.types import Batch

TRIED = 32  # samples that a model is tried out on


def columns_box(kind: str, path: Path, feeding: Feeding, data: Data, views: Views | None) -> BlackBox:
    """Return the black box of a file, onnx, sklearn or labels. Raises the UserError of what does not fit."""
    columns = Columns(data.classes, data.scaling)
    if kind == "labels":
        return _file_of_answers(path, columns, views)
    sample = data.pool.batch(data.train[:TRIED]).inputs
    if kind == "sklearn":
        return _asked(SklearnColumns(path, sample, feeding, columns), path)
    if kind != "onnx":
        raise UserError(f"A teacher of {data.task} from {kind}: is not made yet; expected onnx:, sklearn: or labels:.")
    names = names_in_bundle(path)
    if names is not None:
        columns.check(names, str(path))
    return _asked(OnnxTeacher(path, sample, feeding, columns), path)


def _file_of_answers(path: Path, columns: Columns, views: Views | None) -> BlackBox:
    check_untouched_views(path, views)
    answers = read_answer_columns(path, columns)

    def open_for(samples: Samples, rows: Tensor) -> Teacher:
        return StoredTeacher(answers, samples, rows, str(path))

    return BlackBox(f"{path.name} ({'values' if columns.scaling else 'scores'})", open_for, True)


def _asked(teacher: OnnxTeacher | SklearnColumns, path: Path) -> BlackBox:
    def cost_of(one: Tensor) -> Cost:
        if isinstance(teacher, OnnxTeacher):
            times = teacher.latency(one)
        else:
            times = [time_one(lambda: teacher(Batch(one)), torch.get_num_threads())]
        return {"parameters": None, "bytes": path.stat().st_size, "macs": None, "latency_ms": times}

    return BlackBox(path.name, lambda samples, rows: teacher, False, cost=cost_of)
