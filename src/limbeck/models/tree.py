"""One decision tree: the student that can be read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field
from torch import Tensor

from limbeck.models.trees import Floats, Trees, nodes_of

Count = Annotated[int, Field(ge=1)]
Depth = Annotated[int, Field(ge=1, le=32)]


class Tree(Trees):
    """A decision tree (CART, Breiman et al. 1984) that is grown by scikit-learn, on soft labels as well.

    max_depth: questions on the way to a leaf at most; min_samples_leaf: rows that a leaf needs. A leaf's distribution
    is the mean of its rows' targets, and a split is the one that takes most off the squared error of that mean, summed
    over classes: for targets of one class each this is the Gini impurity, and for soft ones the Gini impurity of a row
    that is split among its classes. Returns logits [B, C].
    """

    chance = "which of two equally good questions a tree asks"

    def __init__(self, shape: Sequence[int], classes: int, max_depth: Depth = 8, min_samples_leaf: Count = 5) -> None:
        super().__init__(shape, classes, max_depth, classes)
        self.max_depth, self.min_samples_leaf = max_depth, min_samples_leaf

    def grow(self, inputs: Floats, targets: Floats, weights: Floats, seed: int) -> None:
        """Grow the tree anew, see `Trees`."""
        from sklearn.tree import DecisionTreeRegressor

        grown = DecisionTreeRegressor(
            max_depth=self.max_depth, min_samples_leaf=self.min_samples_leaf, random_state=seed
        )
        self.plant([nodes_of(grown.fit(inputs, targets, weights).tree_)])

    def forward(self, inputs: Tensor) -> Tensor:
        """Map inputs [B, *shape] to logits [B, C]."""
        return self.log_mean(inputs)
