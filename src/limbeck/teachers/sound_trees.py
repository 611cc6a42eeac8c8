"""Whether the trees of a classifier from a file point inside themselves, since their compiled code does not look.

Shapes: n nodes of a tree.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor
from sklearn.tree._tree import Tree

from limbeck.errors import ModelError

DEEPEST = 50  # levels of objects in objects
ENSEMBLE = ("estimators_", "_predictors")  # attributes whose trees get the samples that the ensemble checked


def check_trees(classifier: Any, who: str) -> None:
    """Raise ModelError where a node's child or feature lies outside; a child comes after its parent, so none is asked
    forever. who: the file, for the message.
    """
    for tree, features in _trees(classifier, None, 0):
        if isinstance(tree, Tree):
            inner = tree.children_left != -1
            sound = _sound(inner, (tree.children_left, tree.children_right), tree.feature, features)
        else:
            nodes = tree.nodes
            children = nodes["left"], nodes["right"]
            categories = bool(nodes["is_categorical"].any())  # whose bit sets are read without a look, too
            sound = not categories and _sound(nodes["is_leaf"] == 0, children, nodes["feature_idx"], features)
        if not sound:
            raise ModelError(f"{who} holds a decision tree that points outside of itself, so it is not used.")


def _sound(inner: NDArray[Any], children: tuple[NDArray[Any], ...], feature: NDArray[Any], features: int) -> bool:
    """inner: bool [n], which nodes decide; children, feature: whole numbers [n]; features: how many there are."""
    places = np.arange(len(inner))[inner]
    each = [child.astype(np.int64)[inner] for child in children]
    inside = all(bool(((child > places) & (child < len(inner))).all()) for child in each)
    asked = feature.astype(np.int64)[inner]
    return len(inner) > 0 and inside and bool(((asked >= 0) & (asked < features)).all())


def _trees(value: Any, features: int | None, depth: int, *, shared: bool = False) -> Iterator[tuple[Any, int]]:
    """Yield each tree inside a value, and how many features are sure to be there where it is asked.

    features: of what holds the value, None where it does not say; shared: whether that has checked the samples for it.
    """
    if depth > DEEPEST:
        raise ModelError("The classifier in teacher.source is nested too deeply.")
    if isinstance(value, (Tree, TreePredictor)):
        yield value, features or 0
    elif isinstance(value, (list, tuple)) or (isinstance(value, np.ndarray) and value.dtype == object):
        for one in np.ravel(np.array(value, dtype=object)) if isinstance(value, np.ndarray) else value:
            yield from _trees(one, features, depth + 1, shared=shared)
    elif isinstance(value, dict):
        yield from _trees(list(value.values()), features, depth + 1, shared=shared)
    elif type(value).__module__.startswith("sklearn.") and hasattr(value, "__dict__"):
        own = value.__dict__.get("n_features_in_", features)
        own = min(own, features) if shared and own is not None and features is not None else own
        for name, inside in vars(value).items():
            yield from _trees(inside, own, depth + 1, shared=name in ENSEMBLE)
