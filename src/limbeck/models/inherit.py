"""A network that starts from some layers of a deeper one of its kind, as DistilBERT does (Sanh et al. 2019).

Both are gone through side by side. Modules of one name belong together. Where both have a numbered sequence of layers
(`body.0`, `body.1`, ...; only those with weights count), of equal length they belong together in order; of another
length, layers whose weights have the same names and shapes are alike, and of each run of alike ones the student gets
some. A module's own weights are copied all together, or not at all where a name or a shape differs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Literal

import torch
from torch import Tensor, nn

from limbeck.errors import ModelError

Layers = Literal["even"] | Sequence[int]
Shapes = tuple[tuple[str, tuple[int, ...]], ...]


def copy_layers(student: nn.Module, teacher: nn.Module, layers: Layers = "even") -> dict[str, str]:
    """Copy weights and buffers of a teacher into a student of its kind; return the teacher's name of each, by its own.

    layers: "even" takes those of a longer sequence at equal distances, the first and the last always among them; a list
    has the teacher's layer for each of the student's, counted from 0, for networks with one sequence that differs in
    length. Raises ModelError where nothing fits, or the list does not.
    """
    pairs = matching(student, teacher, layers)
    mine, theirs = student.state_dict(), teacher.state_dict()
    with torch.no_grad():
        for name, other in pairs.items():
            mine[name].copy_(theirs[other])
    return pairs


def matching(student: nn.Module, teacher: nn.Module, layers: Layers = "even") -> dict[str, str]:
    """Return what `copy_layers` would copy, as the teacher's names by the student's."""
    found = _Matching(layers)
    pairs = dict(found.match(student, teacher, "", ""))
    if layers != "even" and found.sequences != 1:
        raise ModelError(
            f"layers is a list, but {found.sequences or 'no'} sequences of layers differ in length between teacher and "
            f"student; expected exactly one, or layers: even."
        )
    matrices = [name for name, value in student.named_parameters() if value.ndim > 1]
    if not any(name in pairs for name in matrices[:-1]):  # the last one is the classifier's, of no use by itself
        raise ModelError(
            "No layer of the teacher fits the student: no weights of the same name and shape. A student that starts "
            "from the teacher's layers is of the same architecture and width, with fewer layers."
        )
    return pairs


def share_of(student: nn.Module, pairs: dict[str, str]) -> float:
    """Return what share of a student's parameters is among those that are copied, 0..1."""
    sizes = {name: value.numel() for name, value in student.named_parameters()}
    return sum(size for name, size in sizes.items() if name in pairs) / max(sum(sizes.values()), 1)


class _Matching:
    """Goes through two networks. sequences: how many were met that differ in length."""

    def __init__(self, layers: Layers) -> None:
        self.layers, self.sequences = layers, 0

    def match(self, mine: nn.Module, theirs: nn.Module, place: str, other: str) -> Iterator[tuple[str, str]]:
        """Yield pairs of names, the student's and the teacher's, that belong together below two modules."""
        own, given = _own(mine), _own(theirs)
        if _shapes(own) == _shapes(given):
            yield from ((place + name, other + name) for name in own)
        for name, part, their_name, their_part in self._children(mine, theirs):
            yield from self.match(part, their_part, f"{place}{name}.", f"{other}{their_name}.")

    def _children(self, mine: nn.Module, theirs: nn.Module) -> Iterator[tuple[str, nn.Module, str, nn.Module]]:
        first, second = dict(mine.named_children()), dict(theirs.named_children())
        if not _is_sequence(first) or not _is_sequence(second):
            yield from ((name, first[name], name, second[name]) for name in first if name in second)
            return
        layers, others = _weighted(first), _weighted(second)
        if len(layers) != len(others):
            self.sequences += 1
            chosen = self._chosen(list(layers.values()), list(others.values()))
        else:
            chosen = dict(enumerate(range(len(others))))
        names, their_names = list(layers), list(others)
        for place, other in chosen.items():
            name, their_name = names[place], their_names[other]
            yield name, layers[name], their_name, others[their_name]

    def _chosen(self, layers: Sequence[nn.Module], others: Sequence[nn.Module]) -> dict[int, int]:
        """Return which of the teacher's layers each of the student's gets, by their places."""
        if not isinstance(self.layers, str):
            return _listed(self.layers, layers, others)
        chosen: dict[int, int] = {}
        theirs = _runs(others)
        for shapes, places in _runs(layers).items():
            if shapes in theirs:
                chosen |= zip(places, _even(theirs[shapes], len(places)), strict=False)
        return chosen


def _listed(wanted: Sequence[int], layers: Sequence[nn.Module], others: Sequence[nn.Module]) -> dict[int, int]:
    if len(wanted) != len(layers) or not all(0 <= place < len(others) for place in wanted):
        raise ModelError(
            f"layers is {list(wanted)}; expected one of the teacher's layers 0 to {len(others) - 1} for each of the "
            f"student's {len(layers)}."
        )
    for place, other in enumerate(wanted):
        if _shapes(layers[place].state_dict()) != _shapes(others[other].state_dict()):
            raise ModelError(
                f"layers: the teacher's layer {other} has other weights than the student's layer {place}, so they "
                f"cannot be copied; layers: even takes those that fit."
            )
    return dict(enumerate(wanted))


def _even(places: Sequence[int], count: int) -> list[int]:
    """Return some of the places at equal distances, the first and the last among them; all where there are fewer."""
    if count >= len(places):
        return list(places)
    if count == 1:
        return [places[0]]
    return [places[round(number * (len(places) - 1) / (count - 1))] for number in range(count)]


def _runs(layers: Sequence[nn.Module]) -> dict[Shapes, list[int]]:
    """Return the places of alike layers that follow each other, by the shapes of their weights.

    Alike ones that come again after others are left out, since nothing tells their runs apart.
    """
    groups = groupby(enumerate(layers), key=lambda pair: _shapes(pair[1].state_dict()))
    runs = [(shapes, [place for place, _ in group]) for shapes, group in groups]
    count = Counter(shapes for shapes, _ in runs)
    return {shapes: places for shapes, places in runs if count[shapes] == 1}


def _own(module: nn.Module) -> dict[str, Tensor]:
    """Return a module's own parameters and buffers, as a state dict has them."""
    return {name: value for name, value in module.state_dict().items() if "." not in name}


def _shapes(state: dict[str, Tensor]) -> Shapes:
    return tuple((name, tuple(value.shape)) for name, value in sorted(state.items()))


def _is_sequence(children: dict[str, nn.Module]) -> bool:
    return bool(children) and all(name.isdigit() for name in children)


def _weighted(children: dict[str, nn.Module]) -> dict[str, nn.Module]:
    return {name: part for name, part in children.items() if part.state_dict()}
