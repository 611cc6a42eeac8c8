"""`limbeck evaluate`: a run's models, or a bundle, measured again on the same or on other data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from limbeck.data.combine import take
from limbeck.data.csv_table import held_out, read_labelled
from limbeck.data.dataset import Data, prepared
from limbeck.data.preprocess import Preprocessing
from limbeck.data.samples import Samples
from limbeck.data.scaling import Scaling
from limbeck.data.source import ReadOptions, open_source
from limbeck.errors import DataError, FolderError
from limbeck.export.manifest import GRAPH, INT8, check_file, find_bundle, read_manifest
from limbeck.export.run_onnx import Session
from limbeck.models.weights import read_card
from limbeck.recipe.load import parse_recipe
from limbeck.recipe.model import Recipe
from limbeck.recipe.sources import expand
from limbeck.run.answers import Answers
from limbeck.run.controls import SINGLE
from limbeck.run.folder import RECIPE, is_python_run, is_run, refuse_changed
from limbeck.run.plan import open_data
from limbeck.run.reload import load_model, preprocessing_of
from limbeck.run.result import read_report
from limbeck.run.ship import answers_of_file
from limbeck.run.task import Task
from limbeck.run.tasks import task_of
from limbeck.teachers.seen import count_repeated
from limbeck.train.loop import predict
from limbeck.types import TaskName, known

EVALUATED = ("calibration", "agreement")


def evaluate(
    place: Path, source: str | None = None, *, tell: Callable[[str], object] = lambda _: None
) -> dict[str, Any]:
    """Return {model: {metric: {mean, values, ci95, higher_is_better}}} on test samples.

    place: a run folder (teacher, student and controls are measured) or a bundle (its files are measured);
    source: other data such as "folder:photos", its test split where it has one, else all of it; tell: is given a
    sentence where the models were trained on some of it.
    """
    if is_run(place):
        return _evaluate_run(place, source, tell)
    bundle = find_bundle(place)
    if source is None:
        raise FolderError(f"{bundle} is a bundle without data; name some with --data, such as --data folder:photos.")
    manifest = read_manifest(bundle)
    task = _task(manifest)
    samples = samples_for_bundle(manifest, source)
    _tell_repeated(bundle.parent, samples, tell)
    files = {name: check_file(bundle, name, manifest) for name in (GRAPH, INT8) if name in manifest["files"]}
    asked = {name: answers_of_file(Session(path), 0, samples, task.read_file) for name, path in files.items()}
    return {name: task.metrics(answers, None, EVALUATED) for name, answers in asked.items()}


def _evaluate_run(run: Path, source: str | None, tell: Callable[[str], object]) -> dict[str, Any]:
    names = {"teacher": run / "teacher", "student": run / "student"}
    controls = sorted((run / "controls").glob("*"))
    names |= {path.name: path for path in controls if not path.name.startswith(f"{SINGLE}-")}
    read_report(run)
    models = {name: load_model(path) for name, path in names.items() if (path / "model.json").is_file()}
    samples = data_of(run)[0].test if source is None else samples_for_run(run, source)
    _tell_repeated(run, samples, tell)
    task = _task(read_card(run / "student"))
    asked = {
        name: Answers(task.scores(predict(model, samples).numpy())[None], (0,), samples.labels.numpy())
        for name, model in models.items()
    }
    return {name: task.metrics(one, asked.get("teacher"), EVALUATED) for name, one in asked.items()}


def _task(card: dict[str, Any]) -> Task:
    """Return the task of a model's card or a bundle's manifest; those that name none are of classification."""
    return task_of(card.get("task", "classification"), Scaling.from_json(card.get("target")))


def _tell_repeated(run: Path, samples: Samples, tell: Callable[[str], object]) -> None:
    if count := max(count_repeated(run / role, samples) for role in ("teacher", "student")):
        tell(
            f"{count:,} of these {len(samples):,} samples were there in training or validation: the figures say "
            f"nothing about unseen data."
        )


def data_of(run: Path) -> tuple[Data, Recipe]:
    """Return the data of a run and its recipe; DataError where they came from Python, or changed since."""
    text = (run / RECIPE).read_text(encoding="utf-8")
    if is_python_run(run):
        raise DataError(f"The data of {run} came from Python; name some with --data, such as --data folder:photos.")
    recipe = parse_recipe(text, source=str(run / RECIPE))
    data = open_data(recipe.data)
    refuse_changed(run, data)
    return data, recipe


def samples_for_run(run: Path, source: str) -> Samples:
    """Return the labelled samples of another source, as the models of a run take them."""
    card = read_card(run / "student")
    return _samples(
        source, card["classes"], reading_of_run(run, card), card["shape"], preprocessing_of(card), _task(card).name
    )


def reading_of_run(run: Path, card: dict[str, Any]) -> dict[str, Any]:
    """Return how a run reads pictures, at the size and in the colours that its models take."""
    reading = yaml.safe_load((run / RECIPE).read_text(encoding="utf-8")).get("data", {})
    shape = card["shape"]
    wanted = {"size": shape[1:], "channels": "grey" if shape[0] == 1 else "rgb"} if len(shape) == 3 else {}
    return {**reading, **wanted}


def samples_for_bundle(manifest: dict[str, Any], source: str) -> Samples:
    """Return the labelled samples of a source, as the files of a bundle take them."""
    taken = manifest["input"]
    return _samples(source, manifest["classes"], taken, taken["shape"], learned_of(manifest), _task(manifest).name)


def learned_of(manifest: dict[str, Any]) -> Preprocessing | None:
    """Return the preprocessing of the tables that a bundle takes; None for other inputs."""
    table = manifest.get("table")
    return None if table is None else Preprocessing.from_json(table["preprocessing"])


def read_options(reading: dict[str, Any], task: TaskName) -> ReadOptions:
    """Return how a source is read, from a recipe's or a manifest's keys."""
    size = reading.get("size")
    return ReadOptions(
        size=tuple(size) if size else None,
        channels=reading.get("channels") or "auto",
        resize=reading.get("resize") or "squash",
        background=reading.get("background") or "white",
        corrupt=reading.get("corrupt") or "error",
        task=task,
    )


def _samples(
    source: str,
    classes: list[str],
    reading: dict[str, Any],
    shape: list[int],
    learned: Preprocessing | None,
    task: TaskName,
) -> Samples:
    """Return the labelled samples of a source, numbered as the model's classes are.

    learned: the preprocessing of a model of tables, which is used as it was saved; task: what the labels are.
    """
    if (learned is not None) != source.startswith("csv:"):
        expected = f"samples of shape {shape}" if learned is None else "rows of a table, such as --data csv:rows.csv"
        raise DataError(f"The model takes {expected}, but --data is {source!r}.")
    if learned is not None:
        return _rows(source, classes, learned, task)
    found = open_source(expand(source), read_options(reading, task))
    samples = found.test if found.test is not None else found.train
    unknown = [name for name in found.classes if name not in classes]
    if unknown and task == "classification":
        raise DataError(f"{source} has the class {unknown[0]!r}, which the model does not know.")
    samples = take(samples, np.flatnonzero(known(samples.labels).numpy()))
    if len(found.classes) != len(classes) and task != "classification":
        raise DataError(f"{source} has {len(found.classes)} labels for each sample; the model answers {len(classes)}.")
    if not len(samples) or list(samples.shape) != list(shape):
        raise DataError(
            f"{source} has {len(samples)} labelled samples of shape {list(samples.shape)}; the model expects some, of "
            f"shape {list(shape)}."
        )
    if task != "classification":
        return samples
    lookup = torch.tensor([classes.index(name) for name in found.classes])
    return Samples(samples.inputs, lookup[samples.labels], samples.ids, mapped=samples.mapped)


def _rows(source: str, classes: list[str], learned: Preprocessing, task: TaskName) -> Samples:
    """Return the labelled rows of a table, prepared as those were that the model was trained on."""
    path = held_out(Path(expand(source).removeprefix("csv:")))
    found = read_labelled(path, learned.columns, learned.label, classes, "test", task)
    labelled = take(found, np.flatnonzero(known(found.labels).numpy()))
    if not len(labelled):
        label = learned.label if isinstance(learned.label, str) else ", ".join(learned.label)
        raise DataError(f'{path}: no row has a label in the column "{label}".')
    return prepared(labelled, learned)
