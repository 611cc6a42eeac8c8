"""How well a model's own answers tell the labels of another task (Nguyen et al. 2020, LEEP).

Shapes: n samples, Z classes of the model.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

TINY = 1e-300


def leep(probabilities: NDArray[np.floating], labels: NDArray[np.int64]) -> float:
    """Return the mean log likelihood of labels given a model's answers; at most 0, larger is better.

    probabilities: [n, Z], rows sum to 1; labels: int64 [n]. A label is guessed from the model's class z by how often
    it goes with z in these samples: the log of `sum over z of p(label | z) p(z | sample)`. With answers that say
    nothing it is minus the entropy of the labels.
    """
    given = probabilities.astype(np.float64)
    names, rows = np.unique(labels, return_inverse=True)
    joint = np.zeros((len(names), given.shape[1]))
    np.add.at(joint, rows, given)
    guessed = joint / np.maximum(joint.sum(axis=0), TINY)  # p(label | z), [C, Z]
    return float(np.log(np.maximum((given * guessed[rows]).sum(axis=1), TINY)).mean())
