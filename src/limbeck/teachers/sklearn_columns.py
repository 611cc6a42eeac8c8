"""A scikit-learn model of values, or of several labels, in a .skops file, which holds no code.

Shapes: B samples, D features, C columns, one for each of the data's targets or labels.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from torch import Tensor

from limbeck.errors import ModelError
from limbeck.teachers.base import Teacher
from limbeck.teachers.columns import PROVIDES, Columns
from limbeck.teachers.feeding import Feeding, feed
from limbeck.teachers.scores import Floats
from limbeck.teachers.sklearn_file import hash_of, load_skops
from limbeck.types import Batch, Knowledge


class SklearnColumns(Teacher):
    """A regressor, asked by `predict`, or a classifier of several labels, asked by `predict_proba`.

    Samples are flattened to [B, D]. sample: inputs [n, ...], by which it is tried out. Raises ModelError for a file
    that cannot be loaded, or that answers otherwise.
    """

    provides = PROVIDES

    def __init__(self, path: Path, sample: Tensor, feeding: Feeding, columns: Columns) -> None:
        self.path, self.feeding, self.columns = path, feeding, columns
        self.classes = len(columns.names)
        self._model = load_skops(path)
        self._asked = "predict" if columns.scaling else "predict_proba"
        if not hasattr(self._model, self._asked) or (columns.scaling and hasattr(self._model, "classes_")):
            wanted = "a regressor" if columns.scaling else "a classifier of several labels with predict_proba"
            raise ModelError(f"{path} holds {type(self._model).__name__}; {wanted} is expected.")
        self.fingerprint = hash_of(path, feeding)
        columns.check(self._answer(sample).shape[1], str(path))

    def current_fingerprint(self) -> str:
        """Return the fingerprint: what is loaded does not change."""
        return self.fingerprint

    def __call__(self, batch: Batch) -> Knowledge:
        """Return logits [B, C], of regression values on the scale of training, on the device of the batch."""
        values = self._answer(batch.inputs)
        self.asked += len(values)
        said = self.columns.as_logits(values, chances=self.columns.scaling is None)
        return Knowledge(logits=said.to(batch.inputs.device))

    def _answer(self, inputs: Tensor) -> Floats:
        """Return values, or the probability of each label, [B, C]."""
        fed = feed(inputs, self.feeding, "flat", np.float64)
        try:
            said = getattr(self._model, self._asked)(fed)
        except ValueError as error:
            raise ModelError(
                f"{self.path} cannot take this data, {list(fed.shape)}: {str(error).splitlines()[0]}"
            ) from error
        if isinstance(said, list):  # a forest gives the chances of no and yes for each label
            said = np.stack([one[:, -1] for one in said], axis=1)
        values: Floats = np.asarray(said, dtype=np.float32).reshape(len(fed), -1)
        if not np.isfinite(values).all():
            raise ModelError(f"{self.path} gives values that are not finite numbers; check what it is fed with.")
        return values
