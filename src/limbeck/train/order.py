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


class Halves:
    """The order of two sets of rows of which every batch shows as many: the domains of a task, source first.

    A source row and a target row take turns in a batch, so that every part of it shows both.
    """

    def __init__(self, source: Tensor, target: Tensor, seed: int) -> None:
        self._orders = (Order(source, seed), Order(target, seed + 1))

    def batch(self, step: int, size: int) -> tuple[Tensor, Tensor]:
        """Return the rows [size] of a step and, for each, how often it was shown before [size]."""
        counts = (size - size // 2, size // 2)
        both = [order.batch(step, count) for order, count in zip(self._orders, counts, strict=True) if count]
        places = torch.cat([torch.arange(place, size, 2) for place in range(len(both))]).argsort()
        rows, showings = (torch.cat(parts)[places] for parts in zip(*both, strict=True))
        return rows, showings


def order_of(rows: Tensor, domain: Tensor | None, seed: int) -> Order | Halves:
    """Return the order of rows; domain: of all samples, None where there is one alone."""
    if domain is None:
        return Order(rows, seed)
    theirs = domain.to(rows.device)[rows] == 1
    if bool(theirs.all()) or not bool(theirs.any()):
        return Order(rows, seed)
    return Halves(rows[~theirs], rows[theirs], seed)
