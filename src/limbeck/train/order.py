"""In which order samples are shown: a pure function of (seed, position).

Position p counts samples shown since the start of the fit. A set of n rows is gone through in one
permutation after the other; batches may span two of them, so every batch is full and a small set is cycled
for exactly as many steps as a large one.
"""

from __future__ import annotations

import torch
from torch import Tensor


class Order:
    """The order of a set of rows under a seed.

    rows: int64 [n], what is shown; seed: of all permutations.
    """

    def __init__(self, rows: Tensor, seed: int) -> None:
        self.rows, self.seed = rows, seed
        self._passes: dict[int, Tensor] = {}

    def batch(self, step: int, size: int) -> tuple[Tensor, Tensor]:
        """Return the rows [size] of a step and, for each, how often it was shown before [size]."""
        count = len(self.rows)
        positions = range(step * size, (step + 1) * size)
        passes = range(positions[0] // count, positions[-1] // count + 1)
        self._passes = {number: self._permutation(number) for number in passes}
        pieces, showings = [], []
        for number in passes:
            start, stop = (
                max(positions[0] - number * count, 0),
                min(positions[-1] + 1 - number * count, count),
            )
            pieces.append(self._passes[number][start:stop])
            showings.append(torch.full((stop - start,), number))
        if len(pieces) == 1:
            return pieces[0], showings[0]
        return torch.cat(pieces), torch.cat(showings)

    def _permutation(self, number: int) -> Tensor:
        if number in self._passes:
            return self._passes[number]
        generator = torch.Generator().manual_seed((self.seed * 1_000_003 + number) % 2**63)
        return self.rows[torch.randperm(len(self.rows), generator=generator)]
