"""The units of regression targets. Shapes: N samples, C targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from limbeck.errors import DataError
from limbeck.types import known


@dataclass(frozen=True)
class Scaling:
    """Between the user's own units and what models are trained on: less `mean`, over `scale`; each one number a target.

    Models answer on the scale they are trained on; what a run reports and ships is in the user's units again.
    """

    mean: tuple[float, ...]
    scale: tuple[float, ...]

    def standardised(self, values: Tensor) -> Tensor:
        """Return values [N, C] in the user's units as float32 on the scale of training; NaN stays."""
        mean, scale = (torch.tensor(one, dtype=torch.float64) for one in (self.mean, self.scale))
        return ((values.double().cpu() - mean) / scale).float().to(values.device)

    def restored(self, values: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return answers [N, C] on the scale of training in the user's units."""
        exact: NDArray[np.float64] = np.asarray(values, np.float64) * self.scale + np.asarray(self.mean)
        return exact

    def as_json(self) -> dict[str, Any]:
        """Return it as the values of a JSON file."""
        return {name: list(values) for name, values in asdict(self).items()}

    @classmethod
    def from_json(cls, saved: Mapping[str, Any] | None) -> Scaling | None:
        """Return what `as_json` described; None for None."""
        return None if saved is None else cls(tuple(saved["mean"]), tuple(saved["scale"]))


def fit_scaling(labels: Tensor, names: Sequence[str]) -> Scaling:
    """Return the scaling that gives labels [N, C], those that are withheld apart, mean 0 and deviation 1.

    Raises DataError for a target that is the same in all of them.
    """
    exact = labels[known(labels)].double()
    mean, scale = exact.mean(0), exact.std(0, correction=0)
    for name, middle, width in zip(names, mean.tolist(), scale.tolist(), strict=True):
        if not width > 1e-7 * abs(middle):
            raise DataError(
                f'The target "{name}" is {middle:g} in every labelled training sample, so there is nothing to predict; '
                f"choose another one, or add samples."
            )
    return Scaling(tuple(mean.tolist()), tuple(scale.tolist()))
