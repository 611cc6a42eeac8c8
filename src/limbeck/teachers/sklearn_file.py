"""A scikit-learn classifier in a .skops file, which holds no code. Shapes: B samples, D features, T classes."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
import torch
from torch import Tensor

from limbeck.errors import ModelError
from limbeck.teachers.base import Teacher
from limbeck.teachers.feeding import Feeding, feed
from limbeck.teachers.scores import logarithms, look_like_probabilities
from limbeck.teachers.sound_trees import check_trees
from limbeck.teachers.stored import PROVIDES
from limbeck.types import Batch, Knowledge

KNOWN = {
    "sklearn.tree._tree.Tree", "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.calibration._CalibratedClassifier", "sklearn.calibration._SigmoidCalibration",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer", "sklearn.utils._bunch.Bunch",
}  # fmt: skip
"""Types beyond those that skops trusts: parts of classifiers that call nothing; the trees are checked after loading."""


class SklearnTeacher(Teacher):
    """A classifier with `predict_proba`, or with `predict` alone, which then gives labels and no more.

    Samples are flattened to [B, D]. sample: inputs [n, ...], by which it is tried out; names: what the classifier calls
    its classes. Raises ModelError for a file that cannot be loaded, is no classifier, or cannot take the samples.
    """

    def __init__(self, path: Path, sample: Tensor, feeding: Feeding) -> None:
        self.path, self.feeding = path, feeding
        self._classifier = load_skops(path)
        self.names = _names(path, self._classifier)
        self.classes = len(self.names)
        self._graded = hasattr(self._classifier, "predict_proba")
        self.provides = PROVIDES["probs" if self._graded else "labels"]
        self.fingerprint = hash_of(path, feeding)
        self._answer(sample)

    def current_fingerprint(self) -> str:
        """Return the fingerprint: what is loaded does not change."""
        return self.fingerprint

    def __call__(self, batch: Batch) -> Knowledge:
        """Return log probabilities [B, T], or labels int64 [B], on the device of the batch."""
        said = self._answer(batch.inputs).to(batch.inputs.device)
        self.asked += len(batch.inputs)
        return Knowledge(logits=said) if self._graded else Knowledge(labels=said)

    def _answer(self, inputs: Tensor) -> Tensor:
        fed = feed(inputs, self.feeding, "flat", np.float64)
        try:
            said = self._classifier.predict_proba(fed) if self._graded else self._classifier.predict(fed)
        except ValueError as error:
            raise ModelError(
                f"{self.path} cannot take this data, {list(fed.shape)}: {str(error).splitlines()[0]}"
            ) from error
        if not self._graded:
            number = {value: place for place, value in enumerate(self._classifier.classes_.tolist())}
            return torch.tensor([number[value] for value in said.tolist()])
        chances = np.asarray(said, dtype=np.float32)
        if chances.shape != (len(fed), self.classes) or not look_like_probabilities(chances):
            raise ModelError(f"{self.path} gives values that are no probabilities of {self.classes} classes.")
        return logarithms(chances)


def hash_of(path: Path, feeding: Feeding) -> str:
    """Return the SHA-256 (hex) of a model's file, of the library that asks it, and of how it is fed."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
    digest.update(f"{sklearn.__version__}|{feeding.describe()}".encode())
    return digest.hexdigest()


def load_skops(path: Path) -> Any:
    """Return the model that skops.io.dump wrote; ModelError where it is none, or could run code."""
    if not path.is_file():
        raise ModelError(f"teacher.source: there is no file {path}.")
    try:
        import skops.io
    except ImportError:
        raise ModelError("A teacher from sklearn: needs skops; install it with: pip install 'limbeck[trees]'") from None
    try:
        types = skops.io.get_untrusted_types(file=path)
        strange = [name for name in types if name not in KNOWN]
        if strange:
            raise ModelError(
                f"{path} holds {', '.join(strange[:3])}, which could run code when it is loaded or asked. "
                f"Write the classifier alone, without functions or classes of your own, or export it as ONNX."
            )
        classifier = skops.io.load(path, trusted=types)
        check_trees(classifier, str(path))
        return classifier
    except ModelError:
        raise
    except Exception as error:  # a broken archive fails in the library in many ways
        first = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise ModelError(
            f"{path} cannot be loaded as what skops.io.dump writes (a pickle is never loaded): {first}"
        ) from error


def _names(path: Path, classifier: Any) -> tuple[str, ...]:
    classes = getattr(classifier, "classes_", None)
    if not isinstance(classes, np.ndarray) or classes.ndim != 1 or len(classes) < 2:
        raise ModelError(
            f"{path} holds {type(classifier).__name__}; a fitted classifier of one output and two classes or more is "
            f"expected."
        )
    return tuple(str(value) for value in classes.tolist())
