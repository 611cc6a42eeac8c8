"""What a recipe says about knowledge; the signature is its `knowledge:` section."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from limbeck.knowledge.form import TEMPERATURES

Temperature = Annotated[float, Field(gt=0, le=1000)]


@dataclass(frozen=True)
class Wishes:
    """How the teacher's answers are kept, and what a student's frozen backbone gives.

    mode: ask at every step (live), once for each sample and view (memory), or once and keep them on disk for later runs
    (stored); auto measures and says why; path: the folder of the stored answers, in the cache unless given; top_k: how
    many classes of an answer are kept where no term needs all, all up to 1,000 classes and else 32 unless given;
    temperatures: those of the objective among which the other classes are summed, for top_k.
    """

    mode: Literal["auto", "live", "memory", "stored"] = "auto"
    path: str | None = None
    top_k: Annotated[int, Field(ge=1)] | None = None
    temperatures: Annotated[tuple[Temperature, ...], Field(min_length=1)] = TEMPERATURES
