"""How an exported file ends: what comes after the model's logits. Shapes: B samples, C columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Head = Literal["softmax", "sigmoid", "values"]


@dataclass(frozen=True)
class Ending:
    """head: `softmax` or `sigmoid` give logits and probabilities [B, C]; `values` gives values [B, C], the model's own
    times `scale` plus `mean`, C numbers each: what regression is trained on, in the user's units.
    """

    head: Head = "softmax"
    mean: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()

    @property
    def outputs(self) -> list[str]:
        """The names of the file's outputs."""
        return ["values"] if self.head == "values" else ["logits", "probabilities"]

    def first(self, logits: NDArray[Any]) -> NDArray[Any]:
        """Return what the file's first output is for a model's logits [B, C]."""
        if self.head != "values":
            return logits
        found: NDArray[Any] = (logits.astype(np.float64) * self.scale + np.asarray(self.mean)).astype(np.float32)
        return found


def output_of(task: str) -> str:
    """Return what the output with a further task's logits is called."""
    return f"logits_{task}"


SOFTMAX = Ending()
