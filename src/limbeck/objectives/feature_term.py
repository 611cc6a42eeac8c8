"""What terms on features have in common: pairs of layers, and features brought to one size.

Shapes: B samples, C channels, space is (H, W) of pictures, (T,) of tokens, () of vectors. Features of pictures are
[B, C, H, W], of tokens [B, T, E], of vectors [B, D]; here all are taken channels first, [B, C, *space].
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from limbeck.errors import ObjectiveError
from limbeck.objectives.base import Context, Term, promote
from limbeck.objectives.pairing import Layers, Pair, Reach, Shape, chosen, match, read_pairs
from limbeck.types import Batch, Knowledge, Outputs


class FeatureTerm(Term):
    """A term on features of layers of student and teacher, the sum over pairs of them.

    layers: auto, or pairs student:teacher of module paths. reach: which layers auto takes; pairs: those compared, known
    after `prepare`.
    """

    needs = frozenset({"features"})
    reach: ClassVar[Reach] = "stages"

    def __init__(self, layers: Layers = "auto") -> None:
        super().__init__()
        self.layers = layers
        self.named = read_pairs(layers)
        self.pairs: tuple[Pair, ...] = ()

    def prepare(self, student: Outputs, teacher: Knowledge, context: Context) -> None:
        """Pair the layers that are compared, and build what their shapes decide."""
        named = self.named or match(
            self.reach,
            _shapes(student.features, context.student_layers),
            _shapes(teacher.features, context.teacher_layers),
        )
        self.pairs = tuple(
            Pair(mine, theirs, chosen(mine, "student", student.features), chosen(theirs, "teacher", teacher.features))
            for mine, theirs in named
        )
        self.build(context)

    def build(self, context: Context) -> None:
        """Build what the shapes of the pairs decide. Many terms need nothing."""

    def forward(self, student: Outputs, teacher: Knowledge, batch: Batch) -> Tensor:
        """Return the loss, a scalar; ObjectiveError when `prepare` was never called."""
        heard = enumerate(self.heard(student, teacher))
        return torch.stack([self.compare(place, mine, theirs, batch) for place, (mine, theirs) in heard]).sum()

    def heard(self, student: Outputs, teacher: Knowledge) -> list[tuple[Tensor, Tensor]]:
        """Return the features [B, C, *space] of each pair: the student's, and the teacher's without gradients."""
        if not self.pairs:
            raise ObjectiveError(
                "A term on features does not know its layers yet; call objective.prepare(outputs, knowledge, "
                "Context(student, samples)) with features in both, once before the first step."
            )
        both = [(student.features[pair.student], teacher.features[pair.teacher].detach()) for pair in self.pairs]
        return [(channels_first(promote(mine)), channels_first(promote(theirs))) for mine, theirs in both]

    @abstractmethod
    def compare(self, place: int, student: Tensor, teacher: Tensor, batch: Batch) -> Tensor:
        """Return the loss of the pair in this place, a scalar; features [B, C, *space] of both."""


def channels_first(features: Tensor) -> Tensor:
    """Return features as [B, C, *space]: those of tokens [B, T, E] become [B, E, T]."""
    return features.transpose(1, 2) if features.ndim == 3 else features


def same_space(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """Return features [B, C, *space] at one size: the larger ones are averaged to the size of the smaller ones.

    Where they differ in kind, such as vectors and pictures, both become means over their space, [B, C].
    """
    if student.ndim != teacher.ndim:
        return over_space(student), over_space(teacher)
    space = [min(pair) for pair in zip(student.shape[2:], teacher.shape[2:], strict=True)]
    return averaged(student, space), averaged(teacher, space)


def averaged(features: Tensor, space: Sequence[int]) -> Tensor:
    """Return features [B, C, *space] averaged to another size."""
    if list(features.shape[2:]) == list(space):
        return features
    if len(space) == 1:
        return functional.adaptive_avg_pool1d(features, space[0])
    if len(space) == 2:
        return functional.adaptive_avg_pool2d(features, (space[0], space[1]))
    return functional.adaptive_avg_pool3d(features, (space[0], space[1], space[2]))


def over_space(features: Tensor) -> Tensor:
    """Return the mean of features [B, C, *space] over their space, [B, C]."""
    return features.flatten(2).mean(dim=2) if features.ndim > 2 else features


def projected(projector: nn.Module, features: Tensor) -> Tensor:
    """Return features [B, C, *space] with a linear layer taken over their channels, a 1 x 1 convolution."""
    values: Tensor = projector(features.movedim(1, -1)).movedim(-1, 1)
    return values


def projectors_of(pairs: Sequence[Pair]) -> nn.ModuleList:
    """Return a new linear layer from the student's channels to the teacher's for each pair."""
    return nn.ModuleList(nn.Linear(channels_of(pair.student_shape), channels_of(pair.teacher_shape)) for pair in pairs)


def check_space(name: str, pairs: Sequence[Pair]) -> None:
    """Raise ObjectiveError where a term, by its recipe name, compares places and one of its layers has none."""
    for pair in pairs:
        if len(pair.student_shape) < 2 or len(pair.student_shape) != len(pair.teacher_shape):
            raise ObjectiveError(
                f"{name} compares places of pictures or tokens, but was given {pair}; name other layers, or take a "
                f"term that compares vectors, such as hint or similarity_preserving."
            )


def channels_of(shape: Shape) -> int:
    """Return C of features of this shape, without the batch."""
    return shape[-1] if len(shape) == 2 else shape[0]


def _shapes(features: Mapping[str, Tensor], names: Sequence[str]) -> dict[str, Shape]:
    """Return shapes without the batch of some features, of all where nobody says which."""
    return {name: tuple(features[name].shape[1:]) for name in names or features}
