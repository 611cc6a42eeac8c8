"""A transform of the user's own that changes one sample at a time."""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType

import torch
from torch import Tensor

from limbeck.data.draws import seeds_of
from limbeck.data.views import Transform
from limbeck.errors import DataError


class PerSample(Transform):
    """A transform of the user's own, called as `transform(x, generator)` for one sample at a time.

    It must draw all its randomness from the generator, which is on the CPU, and return a tensor of the shape of x.
    name: what the report calls it, the name of the function or class unless given.
    """

    draws = 2
    is_own = True

    def __init__(self, transform: Callable[[Tensor, torch.Generator], Tensor], name: str = "") -> None:
        self.transform = transform
        self.name = name

    def __str__(self) -> str:
        """Return the name of the function, whose address must not decide whether a run may be resumed."""
        named = self.transform if isinstance(self.transform, FunctionType) else type(self.transform)
        return self.name or f"persample({named.__name__})"

    def __call__(self, inputs: Tensor, numbers: Tensor) -> Tensor:
        """Transform inputs [B, ...] one by one; 48 bits of numbers seed the generator of each."""
        seeds = seeds_of(numbers).tolist()
        return torch.stack([self._one(x, seed) for x, seed in zip(inputs, seeds, strict=True)])

    def _one(self, x: Tensor, seed: int) -> Tensor:
        try:
            result = self.transform(x.clone(), torch.Generator().manual_seed(seed))
        except Exception as error:  # the user's own code may raise anything
            raise DataError(
                f"A transform of your own, {self}, failed on a sample {list(x.shape)}: {type(error).__name__}: {error}"
            ) from error
        if not isinstance(result, Tensor) or result.shape != x.shape:
            made = list(result.shape) if isinstance(result, Tensor) else type(result).__name__
            raise DataError(
                f"A transform of your own must keep the shape of a sample, but {self} turned {list(x.shape)} into "
                f"{made}."
            )
        return result.to(x)
