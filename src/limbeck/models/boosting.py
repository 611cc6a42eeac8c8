"""Many small decision trees, each of which corrects those before it.

Shapes: N rows to grow from, M copies of them, D features, C classes, K trees a round, R rounds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from limbeck.errors import ModelError
from limbeck.models.tree import Count, Depth
from limbeck.models.trees import SMALLEST, Floats, Nodes, Trees

LEAST_SHARE = 0.01  # of an even share, 1 / C; a class with less of a row's target gets no copy


class Boosting(Trees):
    """Gradient-boosted trees (Friedman 2001), one a class and round, grown by scikit-learn, on soft labels as well.

    rounds: how often each class gets one more tree; lr: what a tree's correction is multiplied by; max_depth: questions
    on the way to a leaf at most; max_leaf_nodes: leaves of a tree at most; min_samples_leaf: rows that a leaf needs. A
    row with a soft label is copied for each class that has a hundredth of an even share of it, with the class's part as
    weight: gradient and curvature of the cross-entropy are then those of the soft label. Returns logits [B, C].
    """

    chance = ""
    spread: Tensor

    def __init__(
        self,
        shape: Sequence[int],
        classes: int,
        rounds: Count = 100,
        lr: Annotated[float, Field(gt=0, le=1)] = 0.1,
        max_depth: Depth = 6,
        max_leaf_nodes: Annotated[int, Field(ge=2)] = 31,
        min_samples_leaf: Count = 20,
    ) -> None:
        super().__init__(shape, classes, max_depth, 1)
        self.rounds, self.lr, self.max_depth = rounds, lr, max_depth
        self.max_leaf_nodes, self.min_samples_leaf = max_leaf_nodes, min_samples_leaf
        self.base = nn.Parameter(torch.zeros(classes), requires_grad=False)
        self.register_buffer("spread", torch.zeros(1, classes))

    def grow(self, inputs: Floats, targets: Floats, weights: Floats, seed: int) -> None:
        """Grow the trees anew, see `Trees`. Raises ModelError where all targets name one class."""
        from sklearn.ensemble import HistGradientBoostingClassifier

        rows, named, shares = copies(targets, weights)
        if len(np.unique(named)) < 2:
            raise ModelError("boosting expects targets of two classes at least, got one; give it more labels.")
        grown = HistGradientBoostingClassifier(
            max_iter=self.rounds,
            learning_rate=self.lr,
            max_depth=self.max_depth,
            max_leaf_nodes=self.max_leaf_nodes,
            min_samples_leaf=max(round(self.min_samples_leaf * len(rows) / len(targets)), 1),
            early_stopping=False,
            random_state=seed,
        ).fit(inputs[rows], named, shares)
        self.plant([_nodes_of(tree.nodes) for each in grown._predictors for tree in each])
        asked = grown.classes_ if len(grown.classes_) > 2 else grown.classes_[1:]  # of two classes one has the trees
        base = torch.full((self.classes,), float(np.log(SMALLEST)))
        base[grown.classes_] = 0.0
        base[asked] = torch.from_numpy(np.ravel(grown._baseline_prediction).astype(np.float32))
        self.base = nn.Parameter(base, requires_grad=False)
        self.spread = nn.functional.one_hot(torch.from_numpy(asked), self.classes).float()

    def forward(self, inputs: Tensor) -> Tensor:
        """Map inputs [B, *shape] to logits [B, C]."""
        every = self.leaf_values(inputs).reshape(-1, len(self.root) // len(self.spread), len(self.spread))
        return self.scale * (self.base + every.sum(1) @ self.spread)


def copies(targets: Floats, weights: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats]:
    """Return a copy of a row for each class that has a share of its target: its row, the class and its weight, [M].

    targets: [N, C], rows sum to 1; weights: [N]. Classes below a hundredth of an even share are left out, and the
    others scaled up to the row's weight again. Labels that are smoothed as usual stay whole.
    """
    kept = np.where(targets >= LEAST_SHARE / targets.shape[1], targets, 0.0)
    kept *= (weights / kept.sum(1))[:, None]
    rows, named = np.nonzero(kept)
    return rows, named, kept[rows, named]


def _nodes_of(nodes: NDArray[Any]) -> Nodes:
    return Nodes(
        nodes["is_leaf"].astype(np.bool_), nodes["feature_idx"], nodes["num_threshold"],
        nodes["left"].astype(np.int64), nodes["right"].astype(np.int64), nodes["value"][:, None],
    )  # fmt: skip
