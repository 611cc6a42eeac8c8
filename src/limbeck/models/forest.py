"""Many decision trees that vote."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field
from torch import Tensor

from limbeck.models.tree import Count, Depth
from limbeck.models.trees import Floats, Trees, nodes_of


class Forest(Trees):
    """A random forest (Breiman 2001) that is grown by scikit-learn, on soft labels as well.

    trees: their number; max_depth: questions on the way to a leaf at most; min_samples_leaf: rows that a leaf needs;
    features: share of the features that a node chooses among, 0..1, the square root of their number unless given. Each
    tree is grown as `tree` is, on rows drawn with replacement, and the distributions of their leaves are averaged.
    Returns logits [B, C].
    """

    chance = "the rows and features that each tree is shown"

    def __init__(
        self,
        shape: Sequence[int],
        classes: int,
        trees: Count = 50,
        max_depth: Depth = 12,
        min_samples_leaf: Count = 1,
        features: Annotated[float, Field(gt=0, le=1)] | None = None,
    ) -> None:
        super().__init__(shape, classes, max_depth, classes)
        self.trees, self.max_depth, self.min_samples_leaf, self.features = trees, max_depth, min_samples_leaf, features

    def grow(self, inputs: Floats, targets: Floats, weights: Floats, seed: int) -> None:
        """Grow the forest anew, see `Trees`."""
        from sklearn.ensemble import RandomForestRegressor

        grown = RandomForestRegressor(
            n_estimators=self.trees,
            max_depth=self.max_depth,
            min_samples_leaf=self.min_samples_leaf,
            max_features=self.features or "sqrt",
            random_state=seed,
        )
        self.plant([nodes_of(one.tree_) for one in grown.fit(inputs, targets, weights).estimators_])

    def forward(self, inputs: Tensor) -> Tensor:
        """Map inputs [B, *shape] to logits [B, C]."""
        return self.log_mean(inputs)
