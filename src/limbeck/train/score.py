"""What a fit is validated by where that is not accuracy. Shapes: m validation rows, C values or labels of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class Score:
    """A figure of all validation rows together, larger is better.

    name: what it is called in records; figure: takes the model's answers and the labels as it is trained on them, both
    float32 [m, C] on the CPU.
    """

    name: str
    figure: Callable[[Tensor, Tensor], float]
