"""What terms that bring two domains together have in common: the student's features of either one.

Shapes: S rows of the source, T of the target, D dimensions of a feature vector.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from limbeck.errors import ObjectiveError
from limbeck.objectives.base import CLASSIFICATION, Context, Term, promote
from limbeck.objectives.feature_term import channels_first, over_space
from limbeck.objectives.pairing import chosen
from limbeck.types import Batch, Knowledge, Outputs

SOURCE, TARGET = 0, 1
Path = Annotated[str, Field(pattern=r"^[^:\s]+$")]
Layers = Literal["auto"] | Annotated[tuple[Path, ...], Field(min_length=1)]


class DomainTerm(Term):
    """A term on the student's features of source and target samples, the sum over layers; no label is looked at.

    layers: auto, the vector before the classifier, or module paths of the student; of pictures and tokens the mean over
    space is taken. heard: the layers, known after `prepare`. A batch that shows one domain alone is worth 0. Samples
    of a batch are related to each other, so it cannot be taken in parts.
    """

    additive = False
    tasks = CLASSIFICATION

    def __init__(self, layers: Layers = "auto") -> None:
        super().__init__()
        if isinstance(layers, str) and layers != "auto":
            raise ObjectiveError(f"layers expects 'auto' or a list of module paths of the student, got {layers!r}.")
        self.layers = layers
        self.named: tuple[str, ...] = () if layers == "auto" else tuple(layers)
        self.heard: tuple[str, ...] = ()

    def prepare(self, student: Outputs, teacher: Knowledge, context: Context) -> None:
        """Choose the layers, and build what their sizes decide."""
        names = self.named or (context.student_layers or tuple(student.features))[-1:]
        if not names:
            raise ObjectiveError(
                "The student has no layer before its logits whose domains could be compared; leave out the terms on "
                "domains, or choose a network with a hidden layer."
            )
        for name in names:
            chosen(name, "student", student.features)
        self.heard = tuple(names)
        self.build([vectors(student.features[name]).shape[1] for name in names])

    def build(self, sizes: Sequence[int]) -> None:
        """Build what the sizes D of the layers decide. Most terms need nothing."""

    def forward(self, student: Outputs, teacher: Knowledge, batch: Batch) -> Tensor:
        """Return the loss, a scalar; ObjectiveError when `prepare` was never called or no domains are told."""
        if not self.heard:
            raise ObjectiveError(
                "A term on domains does not know its layers yet; call objective.prepare(outputs, knowledge, "
                "Context(student, samples)) with the student's features, once before the first step."
            )
        source = is_source(batch)
        features = [vectors(promote(student.features[name])) for name in self.heard]
        if bool(source.all()) or not bool(source.any()):
            return torch.stack([one.sum() * 0 for one in features]).sum()
        losses = [self.compare(place, one[source], one[~source]) for place, one in enumerate(features)]
        return torch.stack(losses).sum()

    @abstractmethod
    def compare(self, place: int, source: Tensor, target: Tensor) -> Tensor:
        """Return the loss of the layer in this place, a scalar, for features [S, D] and [T, D]."""


def is_source(batch: Batch) -> Tensor:
    """Return which rows of a batch are the source's, bool [B]."""
    if batch.domain is None:
        raise ObjectiveError(
            "A term on domains needs to know which samples are the target's; give the recipe data.target, or in a loop "
            "of your own Batch.domain, 0 for the source and 1 for the target."
        )
    return batch.domain == SOURCE


def vectors(features: Tensor) -> Tensor:
    """Return features [B, ...] as vectors [B, D]: the mean over space of pictures and tokens."""
    return over_space(channels_first(features))
