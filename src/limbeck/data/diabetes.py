"""The diabetes set that comes with scikit-learn: 442 patients, 10 measurements, how far the disease went in a year."""

from __future__ import annotations

import numpy as np
import torch

from limbeck.data.contents import ReadOptions, Source
from limbeck.data.samples import Samples
from limbeck.errors import DataError

NAME = "progression"


def read_diabetes(options: ReadOptions) -> Source:
    """Give float32 [442, 10], in the units that they were measured in, and the progression [442, 1]; no test split.

    Raises DataError unless the task is regression.
    """
    from sklearn.datasets import load_diabetes

    if options.task != "regression":
        raise DataError("data.source: diabetes has a number to predict and no classes; set data.task: regression.")
    measured, progression = load_diabetes(return_X_y=True, scaled=False)
    train = Samples(
        inputs=torch.from_numpy(measured.astype(np.float32)),
        labels=torch.from_numpy(progression.astype(np.float32)[:, None]),
        ids=tuple(f"diabetes/{row}" for row in range(len(measured))),
    )
    return Source("diabetes", (NAME,), train, None, task="regression")
