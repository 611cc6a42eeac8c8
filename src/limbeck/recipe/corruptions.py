"""The section of corruptions in training."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from limbeck.errors import DataError
from limbeck.recipe.schema import Strict
from limbeck.robustness.corruptions import named


class CorruptionsSection(Strict):
    """Corruptions of the pictures that student and controls learn from; a teacher sees them as they are.

    names: corruptions or families of them, such as `noise` or `jpeg`; all unless given.
    severities: of 1 to 5, each equally likely.
    share: of the showings that are corrupted, above 0 and at most 1.
    """

    names: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    severities: Annotated[tuple[Literal[1, 2, 3, 4, 5], ...], Field(min_length=1)] = (1, 2, 3)
    share: Annotated[float, Field(gt=0, le=1)] = 0.5

    @model_validator(mode="after")
    def _known_names(self) -> CorruptionsSection:
        try:
            named(self.names, pictures=True)
        except DataError as error:
            raise ValueError(f"names: {error}") from None
        return self
