"""Decision trees as tensors: what scikit-learn has grown is saved, exported and asked as a network is.

Shapes: B samples, D features (a sample flattened), N rows to grow from, C classes, T trees, n nodes of all trees
together, I of them inner ones that ask and L = n - I leaves, V values of a leaf.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from limbeck.errors import ModelError

Floats = NDArray[Any]
SMALLEST = 1e-6  # a probability of a leaf below it counts as this one


@dataclass(frozen=True, eq=False)
class Nodes:
    """One tree as a library has grown it; its first node is the root.

    leaf: bool [n]; feature, left, right: whole numbers [n], which mean nothing in a leaf; threshold: [n], what is not
    above it goes left; value: [n, V], which means nothing in an inner node.
    """

    leaf: NDArray[np.bool_]
    feature: NDArray[Any]
    threshold: Floats
    left: NDArray[Any]
    right: NDArray[Any]
    value: Floats


class Trees(nn.Module, ABC):
    """Trees that are grown at once, not trained by steps; until then each is one leaf.

    shape: of one sample; classes: C; depth: the most questions on the way to a leaf; values: V. Inner nodes have the
    numbers 0 to I - 1 and leaves those from I on. Thresholds and the values of leaves are parameters, though frozen;
    loading takes the number of nodes from the file. chance: in what two seeds of it differ, "" for nothing.
    """

    chance: ClassVar[str]
    feature: Tensor
    child: Tensor
    root: Tensor
    scale: Tensor
    threshold: nn.Parameter
    value: nn.Parameter

    def __init__(self, shape: Sequence[int], classes: int, depth: int, values: int) -> None:
        super().__init__()
        self.inputs, self.classes, self.depth, self.values = math.prod(shape), classes, depth, values
        for name, kind in (("feature", torch.int32), ("child", torch.int32), ("root", torch.int32)):
            self.register_buffer(name, torch.zeros(0, dtype=kind))
        self.register_buffer("scale", torch.tensor(1.0))
        self.plant([_stump(values)])

    @abstractmethod
    def grow(self, inputs: Floats, targets: Floats, weights: Floats, seed: int) -> None:
        """Grow the trees anew.

        inputs: float32 [N, D]; targets: [N, C], a distribution for each row; weights: [N], above 0, their mean 1.
        """

    @abstractmethod
    def forward(self, inputs: Tensor) -> Tensor:
        """Map inputs [B, *shape] to logits [B, C]."""

    def plant(self, trees: Sequence[Nodes]) -> None:
        """Take the nodes of these trees for the own ones; thresholds are rounded so that no float32 changes sides."""
        leaf = np.concatenate([tree.leaf for tree in trees])
        starts = np.cumsum([0, *(len(tree.leaf) for tree in trees)])
        inner = max(int((~leaf).sum()), 1)  # trees of leaves alone get an inner node that nobody comes to
        number = np.empty(len(leaf), dtype=np.int32)
        number[~leaf], number[leaf] = np.arange((~leaf).sum()), inner + np.arange(leaf.sum())
        feature, child, threshold = np.zeros(inner), np.full((inner, 2), inner), np.zeros(inner, dtype=np.float32)
        if not leaf.all():
            feature = np.concatenate([tree.feature for tree in trees])[~leaf]
            threshold = _rounded_down(np.concatenate([tree.threshold for tree in trees])[~leaf])
            pairs = zip(trees, starts, strict=False)
            below = np.concatenate([np.stack([tree.left, tree.right], 1) + start for tree, start in pairs])
            child = number[below[~leaf]]
        self.feature = torch.from_numpy(feature.astype(np.int32))
        self.child = torch.from_numpy(child.astype(np.int32))
        self.root = torch.from_numpy(number[starts[:-1]])
        self.threshold = _frozen(torch.from_numpy(threshold))
        value = np.concatenate([tree.value for tree in trees])[leaf]
        self.value = _frozen(torch.from_numpy(value.astype(np.float32)))

    def leaf_values(self, inputs: Tensor) -> Tensor:
        """Return what the leaves say that inputs [B, *shape] end in, [B, T, V]."""
        flat, count, trees = inputs.flatten(1), len(self.feature), len(self.root)
        node = self.root.long().expand(flat.shape[0], trees)
        for _ in range(self.depth):
            asking = node.clamp(max=count - 1).reshape(-1)
            column = self.feature.index_select(0, asking).long().reshape(-1, trees)
            right = flat.gather(1, column) > self.threshold.index_select(0, asking).reshape(-1, trees)
            below = self.child.reshape(-1).index_select(0, 2 * asking + right.reshape(-1).long()).long()
            node = torch.where(node < count, below.reshape(-1, trees), node)
        found = self.value.index_select(0, (node - count).reshape(-1))
        return found.reshape(-1, trees, self.values)

    def log_mean(self, inputs: Tensor) -> Tensor:
        """Return the logarithm of the mean of the trees' distributions, times the scale, [B, C]."""
        return self.scale * self.leaf_values(inputs).mean(1).clamp_min(SMALLEST).log()

    def make_room(self, state: Mapping[str, Tensor]) -> None:
        """Get ready for a state of other trees. Raises ModelError where it is none, or points outside of itself."""
        own = self.state_dict()
        if not own.keys() <= state.keys():
            return  # whoever loads it says what is missing
        for name, value in own.items():
            if state[name].ndim != value.ndim or state[name].dtype != value.dtype:
                raise ModelError(
                    f"The weights are no trees: {name} is {state[name].dtype} {list(state[name].shape)}, "
                    f"{value.dtype} of {value.ndim} dimensions was expected."
                )
        self._check_inside(state)
        for name, value in own.items():
            room = torch.zeros(state[name].shape, dtype=value.dtype, device=value.device)
            setattr(self, name, _frozen(room) if name in self._parameters else room)

    def _check_inside(self, state: Mapping[str, Tensor]) -> None:
        inner, leaves = len(state["feature"]), len(state["value"])
        fits = state["child"].shape == (inner, 2) and state["threshold"].shape == (inner,) and len(state["root"]) > 0
        fits &= inner > 0 and leaves > 0 and state["value"].shape[1] == self.values
        ends = ((state["child"], inner + leaves), (state["root"], inner + leaves), (state["feature"], self.inputs))
        if not fits or any(bool(((one < 0) | (one >= end)).any()) for one, end in ends):
            raise ModelError("The weights hold a decision tree that points outside of itself, so it is not used.")


def nodes_of(tree: Any) -> Nodes:
    """Return the nodes of a tree of scikit-learn (`tree_`), whose leaves hold [V] values."""
    leaf = tree.children_left < 0
    return Nodes(leaf, tree.feature, tree.threshold, tree.children_left, tree.children_right, tree.value[:, :, 0])


def _stump(values: int) -> Nodes:
    """Return a tree of one leaf that favours nothing."""
    nothing = np.zeros(1, dtype=np.int64)
    even = np.full((1, values), 1 / values)
    return Nodes(np.ones(1, dtype=np.bool_), nothing, np.zeros(1), nothing, nothing, even)


def _rounded_down(threshold: Floats) -> NDArray[np.float32]:
    """Return the largest float32 that is not above each threshold: what is compared with it is float32 as well."""
    near = threshold.astype(np.float32)
    return np.where(near > threshold, np.nextafter(near, np.float32(-np.inf)), near)


def _frozen(values: Tensor) -> nn.Parameter:
    return nn.Parameter(values, requires_grad=False)
