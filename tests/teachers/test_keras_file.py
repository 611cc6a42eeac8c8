"""Keras models as teachers, on its torch backend."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from limbeck.errors import ModelError
from limbeck.recipe.load import parse_recipe
from limbeck.run.pipeline import run
from limbeck.run.plan import plan_from_recipe
from limbeck.run.result import read_report
from limbeck.teachers.feeding import Feeding
from limbeck.teachers.keras_file import KerasTeacher
from limbeck.types import Batch

os.environ.setdefault("KERAS_BACKEND", "torch")
keras = pytest.importorskip("keras", reason="Keras is not installed (the extra keras)", exc_type=ImportError)
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")

PICTURES = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(0))
COLOUR = torch.rand(6, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def saved(path: Path, model: Any) -> Path:
    model.save(path)
    return path


def dense(shape: tuple[int, ...], *, softmax: bool = True) -> Any:
    layers = keras.layers
    inner = [layers.Flatten()] if len(shape) > 1 else []
    return keras.Sequential([
        layers.Input(shape), *inner, layers.Dense(16, activation="relu"),
        layers.Dense(10, activation="softmax" if softmax else None),
    ])  # fmt: skip


@pytest.mark.parametrize(
    ("shape", "fed"),
    [
        ((64,), PICTURES.flatten(1)),
        ((8, 8), PICTURES[:, 0]),
        ((8, 8, 1), PICTURES.permute(0, 2, 3, 1)),
        ((8, 8, 3), COLOUR.permute(0, 2, 3, 1)),
    ],
    ids=["features", "grey", "one channel", "colour"],
)
def test_it_says_what_the_model_says(tmp_path: Path, shape: tuple[int, ...], fed: torch.Tensor) -> None:
    model = dense(shape)
    given = COLOUR if shape[-1] == 3 else PICTURES
    teacher = KerasTeacher(saved(tmp_path / "m.keras", model), given, Feeding())
    said = teacher(Batch(given))
    wanted = keras.ops.convert_to_numpy(model(fed.numpy(), training=False))
    np.testing.assert_allclose(said.logits.exp(), wanted, rtol=1e-4, atol=1e-6)
    assert not said.logits.requires_grad and teacher.provides == {"probs", "labels"}
    assert teacher.asked == 6 and teacher.parameters == model.count_params()


def test_logits_feeding_and_fingerprint(tmp_path: Path) -> None:
    path = saved(tmp_path / "m.keras", dense((4, 4, 1), softmax=False))
    teacher = KerasTeacher(path, PICTURES, Feeding(size=(4, 4), scale=255))
    small = torch.nn.functional.interpolate(PICTURES, (4, 4), mode="bilinear", antialias=True) * 255
    wanted = keras.ops.convert_to_numpy(teacher._model(small.permute(0, 2, 3, 1).numpy()))
    np.testing.assert_allclose(teacher(Batch(PICTURES)).logits, wanted, rtol=1e-4, atol=1e-3)
    assert teacher.provides == {"logits", "probs", "labels"}
    other = KerasTeacher(path, PICTURES, Feeding(size=(4, 4)))
    assert teacher.fingerprint != other.fingerprint and other.fingerprint == other.current_fingerprint()


def test_dropout_is_off(tmp_path: Path) -> None:
    layers = keras.layers
    model = keras.Sequential([layers.Input((64,)), layers.Dropout(0.5), layers.Dense(10)])
    teacher = KerasTeacher(saved(tmp_path / "m.keras", model), PICTURES, Feeding())
    assert torch.equal(teacher(Batch(PICTURES)).logits, teacher(Batch(PICTURES)).logits)


def test_files_that_do_not_fit(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no file"):
        KerasTeacher(tmp_path / "no.keras", PICTURES, Feeding())
    for name, sentence in (("m.h5", "expects a file as model.save"), ("m.keras", "cannot be loaded by Keras in its")):
        (tmp_path / name).write_text("no")
        with pytest.raises(ModelError, match=sentence):
            KerasTeacher(tmp_path / name, PICTURES, Feeding())
    path = saved(tmp_path / "c.keras", dense((8, 8, 3)))
    with pytest.raises(ModelError, match=r"cannot take this data, \[6, 8, 8, 1\]: it expects pictures \(None, 8"):
        KerasTeacher(path, PICTURES, Feeding())
    inputs = [keras.Input((64,)), keras.Input((64,))]
    two = keras.Model(inputs, keras.layers.Dense(10)(keras.layers.Add()(inputs)))
    with pytest.raises(ModelError, match="should have one input"):
        KerasTeacher(saved(tmp_path / "two.keras", two), PICTURES, Feeding())


def test_no_code_of_a_file_is_run(tmp_path: Path) -> None:
    layers = keras.layers
    model = keras.Sequential([layers.Input((64,)), layers.Lambda(lambda x: x * 2), layers.Dense(10)])
    with pytest.raises(ModelError, match="in its safe mode, in which no code of the file is run"):
        KerasTeacher(saved(tmp_path / "m.keras", model), PICTURES, Feeding())


def test_without_keras_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path / "m.keras", dense((64,)))
    monkeypatch.setitem(__import__("sys").modules, "keras", None)
    with pytest.raises(ModelError, match=r"pip install 'limbeck\[keras\]'"):
        KerasTeacher(path, PICTURES, Feeding())


@pytest.mark.usefixtures("quick_page")
def test_it_teaches_a_student_beside_its_control(tmp_path: Path) -> None:
    inputs, labels = load_digits(return_X_y=True)
    keras.utils.set_random_seed(0)
    model = dense((8, 8, 1))
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(inputs[:900].reshape(-1, 8, 8, 1) / 16, labels[:900], epochs=12, batch_size=32, verbose=0)
    path = saved(tmp_path / "m.keras", model)
    text = f"""
name: keras
seeds: 1
data: {{source: digits}}
teacher: {{source: 'keras:{path}'}}
student: {{model: {{mlp: {{hidden: [8]}}}}, train: {{steps: 60, lr: 0.01}}}}
objective: [soft_labels: {{weight: 0.9}}, cross_entropy: {{weight: 0.1}}]
controls: [labels]
export: {{onnx: false}}
"""
    found = read_report(run(plan_from_recipe(parse_recipe(text)), out=tmp_path / "run"))
    teacher = found["models"]["teacher"]
    assert teacher["metrics"]["accuracy"]["mean"] > 0.75 and teacher["parameters"] == model.count_params()
    assert found["verdict"]["against"] == "labels" and found["cost"]["teacher_forwards"] > 0
