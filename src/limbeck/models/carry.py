"""A student that starts from weights made for other classes: what of their classifier it keeps.

A classifier is one module whose tensors have a row for each class. The rows of classes that both know, by name, are
carried over to where these are now; the rows of new classes start anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from limbeck.models.adapt import Adapted
from limbeck.models.stages import classifier_of
from limbeck.models.weights import start_from


@dataclass(frozen=True)
class Names:
    """mine: the classes of the data; theirs: those that the weights were made for; shape: of one sample."""

    mine: tuple[str, ...]
    theirs: tuple[str, ...]
    shape: tuple[int, ...]

    @property
    def known(self) -> tuple[str, ...]:
        """The classes of the data that the weights were made for, in the order of the data."""
        return tuple(name for name in self.mine if name in self.theirs)

    @property
    def new(self) -> tuple[str, ...]:
        """The others."""
        return tuple(name for name in self.mine if name not in self.theirs)


def carry_over(model: Adapted, path: Path, names: Names | None) -> None:
    """Load a safetensors file into a model, and of a classifier for other classes the rows that it can use.

    names: of the classes, None where nobody knows what the weights were made for; a classifier of another shape then
    stays new as a whole. `model.left`, `fresh`, `new_rows` and `carried` say what became of it. Raises ModelError where
    other weights do not fit.
    """
    left = start_from(model.net, path, head=_renamed_head(model, names))
    model.left, model.fresh = left, tuple(left)
    if names is None or not left or not names.known or not _by_class(model, left, names):
        return
    state, rows = model.net.state_dict(), [names.mine.index(name) for name in names.known]
    theirs = [names.theirs.index(name) for name in names.known]
    with torch.no_grad():
        for name, given in left.items():
            state[name][rows] = given[theirs]
    model.fresh = ()
    model.new_rows = dict.fromkeys(left, tuple(names.mine.index(name) for name in names.new))
    if set(names.theirs) <= set(names.mine):
        model.left = {}
        model.carried = tuple(names.mine.index(name) for name in names.theirs)


def _renamed_head(model: Adapted, names: Names | None) -> str | None:
    """Return the path of a classifier whose shape fits although its rows stand for other classes, None for none."""
    if names is None or names.mine == names.theirs or len(names.mine) != len(names.theirs):
        return None
    path = classifier_of(model, torch.zeros(2, *names.shape))
    rows = {len(one) if one.ndim else 0 for one in model.net.get_submodule(path).state_dict().values()}
    return path if rows == {len(names.mine)} else None


def _by_class(model: Adapted, left: dict[str, Tensor], names: Names) -> bool:
    """Whether every tensor of a classifier has a row for each class, and rows of the same kind as before."""
    state = model.net.state_dict()
    return all(_rows(given, names.theirs) and _rows(state[name], names.mine) for name, given in left.items()) and all(
        state[name].shape[1:] == given.shape[1:] for name, given in left.items()
    )


def _rows(tensor: Tensor, classes: Sequence[str]) -> bool:
    return tensor.ndim > 0 and len(tensor) == len(classes)
