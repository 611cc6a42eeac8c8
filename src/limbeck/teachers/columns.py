"""What a teacher says where labels are no classes: values, or a score for each of several labels.

Shapes: B samples, C columns, one for each of the data's targets or labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from limbeck.data.scaling import Scaling
from limbeck.errors import ModelError
from limbeck.teachers.scores import SMALLEST, Floats

PROVIDES = frozenset({"logits"})


@dataclass(frozen=True)
class Columns:
    """Which columns an answer has. names: of the C targets or labels; scaling: of values, None for labels of 0 or 1."""

    names: tuple[str, ...]
    scaling: Scaling | None

    @property
    def answers(self) -> tuple[str, ...]:
        """What an answer may be called, the first that is there."""
        return ("values", "output") if self.scaling else ("logits", "probabilities", "output")

    def are_chances(self, values: Floats, called: str) -> bool:
        """Whether answers [B, C] are probabilities: called so, or in 0..1 and not called logits."""
        if self.scaling is not None or called == "logits":
            return False
        return called == "probabilities" or bool(values.min() >= 0 and values.max() <= 1)

    def as_logits(self, values: Floats, *, chances: bool) -> Tensor:
        """Return answers [B, C] as a model of Limbeck gives them: values on the scale of training, or logits.

        chances: whether they are probabilities, of which none counts as nearer to 0 or 1 than 1e-12.
        """
        if self.scaling is not None:
            return self.scaling.standardised(torch.from_numpy(np.ascontiguousarray(values)))
        exact = np.asarray(values, np.float64).clip(SMALLEST, 1 - SMALLEST) if chances else values
        return torch.from_numpy(np.log(exact / (1 - exact)) if chances else np.ascontiguousarray(exact)).float()

    def check(self, theirs: Sequence[str] | int, who: str) -> None:
        """Raise ModelError where a teacher's columns, named or counted, are others."""
        same = theirs == len(self.names) if isinstance(theirs, int) else tuple(theirs) == self.names
        if not same:
            told = f"{theirs} of them" if isinstance(theirs, int) else ", ".join(theirs)
            raise ModelError(f"{who} should answer for {', '.join(self.names)}, in this order; it answers for {told}.")
