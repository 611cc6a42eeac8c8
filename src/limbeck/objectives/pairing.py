"""Which layers of student and teacher are compared, where nobody says so.

A layer is known by the shape of its features without the batch: (C, H, W) for pictures, (T, E) for tokens, (D,) for
vectors. Depth is the place among the layers that may be compared, in 0..1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor

from limbeck.errors import ObjectiveError, nearest

Named = Annotated[str, Field(pattern=r"^[^:\s]+:[^:\s]+$")]
Layers = Literal["auto"] | Annotated[tuple[Named, ...], Field(min_length=1)]
Reach = Literal["stages", "middle", "last", "embedding"]
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Pair:
    """A layer of the student and the teacher's that it is compared with: paths and shapes, without the batch."""

    student: str
    teacher: str
    student_shape: Shape
    teacher_shape: Shape

    def __str__(self) -> str:
        mine, theirs = (list(shape) for shape in (self.student_shape, self.teacher_shape))
        return f"{self.student} {mine} with the teacher's {self.teacher} {theirs}"


def read_pairs(layers: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Return the pairs (student, teacher) that somebody named, none for auto; ObjectiveError for what is no pair."""
    if layers == "auto":
        return ()
    if isinstance(layers, str) or not layers:  # a text is a sequence of texts
        raise ObjectiveError(f"layers expects 'auto' or a list of pairs 'student:teacher', got {layers!r}.")
    pairs = []
    for one in layers:
        student, colon, teacher = one.partition(":")
        if not (student and colon and teacher) or ":" in teacher:
            raise ObjectiveError(f"layers expects pairs 'student:teacher' such as 'body.2:body.5', got {one!r}.")
        pairs.append((student, teacher))
    return tuple(pairs)


def match(reach: Reach, student: Mapping[str, Shape], teacher: Mapping[str, Shape]) -> list[tuple[str, str]]:
    """Return the pairs (student, teacher) of layers that fit each other, in the order of a forward pass.

    student, teacher: shapes of the layers to choose from, by path, in that order. stages: every stage of the one that
    has fewer, with the stage of the other that is nearest in size and depth; middle: one of these, in the middle;
    last: the last of these; embedding: the last layer of both.
    """
    if not student or not teacher:
        raise ObjectiveError(
            f"The {'teacher' if student else 'student'} has no layer before its logits that could be compared; leave "
            f"the terms on features out, or choose a network with a hidden layer."
        )
    if reach == "embedding":
        return [(list(student)[-1], list(teacher)[-1])]
    pairs = _nearest_in_order(_stages(student), _stages(teacher))
    if reach == "stages":
        return pairs
    return [pairs[len(pairs) // 2 if reach == "middle" else -1]]


def chosen(name: str, role: str, features: Mapping[str, Tensor]) -> Shape:
    """Return the shape of a layer that somebody named; ObjectiveError where it was not heard.

    role: "student" or "teacher".
    """
    if name not in features:
        raise ObjectiveError(f"The {role} gives no features of {name!r}; near it are {nearest(name, features)}.")
    return tuple(features[name].shape[1:])


def _stages(layers: Mapping[str, Shape]) -> list[tuple[str, Shape]]:
    """Return the layers of pictures or tokens, all layers where there are none."""
    wide = [(name, shape) for name, shape in layers.items() if len(shape) > 1]
    return wide or list(layers.items())


def _nearest_in_order(mine: Sequence[tuple[str, Shape]], theirs: Sequence[tuple[str, Shape]]) -> list[tuple[str, str]]:
    """Return a pair for each layer of the shorter list, both in order, so that the sum of their distances is least."""
    if len(mine) > len(theirs):
        return [(first, second) for second, first in _nearest_in_order(theirs, mine)]
    best: dict[tuple[int, int], tuple[float, list[int]]] = {(0, end): (0.0, []) for end in range(len(theirs) + 1)}
    for count in range(1, len(mine) + 1):
        for end in range(count, len(theirs) + 1):
            cost, places = best[count - 1, end - 1]
            step = _distance(mine[count - 1][1], count / len(mine), theirs[end - 1][1], end / len(theirs))
            taken = (cost + step, [*places, end - 1])
            left = best.get((count, end - 1), (math.inf, []))
            best[count, end] = min(left, taken, key=lambda one: one[0])
    return [(mine[place][0], theirs[other][0]) for place, other in enumerate(best[len(mine), len(theirs)][1])]


def _distance(mine: Shape, depth: float, theirs: Shape, other_depth: float) -> float:
    """Return how far two layers are apart: each doubling of size counts like the whole depth."""
    sizes = (0.0, 0.0)
    if len(mine) == len(theirs) and len(mine) > 1:
        sizes = (math.log2(math.prod(_space(mine))), math.log2(math.prod(_space(theirs))))
    return abs(sizes[0] - sizes[1]) + abs(depth - other_depth)


def _space(shape: Shape) -> Shape:
    return shape[:1] if len(shape) == 2 else shape[1:]
