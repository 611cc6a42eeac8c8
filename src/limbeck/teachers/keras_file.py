"""A Keras 3 model in a .keras file, whichever framework it was trained with. Shapes: B samples, T classes."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from limbeck.errors import ModelError
from limbeck.teachers.base import Teacher
from limbeck.teachers.feeding import Feeding, feed
from limbeck.teachers.scores import logarithms, look_like_probabilities
from limbeck.teachers.stored import PROVIDES
from limbeck.types import Batch, Knowledge

AT_ONCE = 256
RANKS = {2: "features", 3: "grey pictures without channels", 4: "pictures"}


class KerasTeacher(Teacher):
    """A model of one input and one output [B, T], on Keras's torch backend; rows that sum to 1 are probabilities.

    Pictures are given with channels last unless `feeding` says otherwise; a model of [B, H, W] gets grey ones. sample:
    inputs [n, ...], by which it is tried out. Raises ModelError for a file that cannot be loaded, that holds code, or
    that cannot take the samples.
    """

    def __init__(self, path: Path, sample: Tensor, feeding: Feeding) -> None:
        self.path, self.feeding = path, feeding
        self._model = _load(path)
        self._rank = _rank(path, self._model)
        values = self._answer(sample)
        if values.ndim != 2 or values.shape[1] < 2:
            raise ModelError(f"{path} should answer [batch, classes]; it gives {list(values.shape)}.")
        self._graded = look_like_probabilities(values)
        self.provides, self.classes = PROVIDES["probs" if self._graded else "logits"], values.shape[1]
        self.parameters = int(self._model.count_params())
        self.fingerprint = self._hash()

    def current_fingerprint(self) -> str:
        """Return the fingerprint: nothing trains what is loaded."""
        return self.fingerprint

    def __call__(self, batch: Batch) -> Knowledge:
        """Return logits or log probabilities [B, T], on the device of the batch."""
        values = np.concatenate([self._answer(part) for part in torch.split(batch.inputs, AT_ONCE)])
        self.asked += len(values)
        if not np.isfinite(values).all():
            raise ModelError(f"{self.path} gives values that are not finite numbers; check what it is fed with.")
        scores = logarithms(values) if self._graded else torch.from_numpy(values)
        return Knowledge(logits=scores.to(batch.inputs.device))

    def _answer(self, inputs: Tensor) -> NDArray[np.float32]:
        import keras

        layout = "flat" if self._rank == 2 else "nchw" if self._rank == 3 else self.feeding.layout or "nhwc"
        fed = feed(inputs, self.feeding, layout, np.float32)
        if self._rank == 3 and fed.ndim == 4 and fed.shape[1] == 1:
            fed = fed[:, 0]
        try:
            with torch.no_grad():
                said = self._model(fed, training=False)
        except Exception as error:  # a model of any make may raise anything
            first = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
            raise ModelError(
                f"{self.path} cannot take this data, {list(fed.shape)}: it expects {RANKS[self._rank]} "
                f"{self._model.input_shape} ({first[:200]}). teacher.input has layout, scale and size."
            ) from error
        values: NDArray[np.float32] = np.asarray(keras.ops.convert_to_numpy(said), dtype=np.float32)
        return values

    def _hash(self) -> str:
        with self.path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256")
        digest.update(self.feeding.describe().encode())
        return digest.hexdigest()


def _load(path: Path) -> Any:
    if not path.is_file():
        raise ModelError(f"teacher.source: there is no file {path}.")
    if path.suffix != ".keras":
        raise ModelError(f"teacher.source: keras: expects a file as model.save('x.keras') writes it, got {path}.")
    os.environ.setdefault("KERAS_BACKEND", "torch")
    try:
        import keras
    except ImportError:
        raise ModelError("A teacher from keras: needs Keras 3; install it with: pip install 'limbeck[keras]'") from None
    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # a broken archive, a layer of the user's own, code in it
        first = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise ModelError(
            f"{path} cannot be loaded by Keras in its safe mode, in which no code of the file is run: {first[:200]}"
        ) from error
    model.trainable = False
    return model


def _rank(path: Path, model: Any) -> int:
    shapes = [tuple(one.shape) for one in getattr(model, "inputs", None) or ()]
    if len(shapes) != 1 or len(shapes[0]) not in RANKS or len(getattr(model, "outputs", ())) != 1:
        told = ", ".join(map(str, shapes)) or "none that is known"
        raise ModelError(f"{path} should have one input, [batch, ...], and one output; its inputs are {told}.")
    return len(shapes[0])
