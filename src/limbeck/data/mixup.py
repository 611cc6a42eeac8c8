"""Mixup (Zhang et al. 2018, arXiv:1710.09412) that can be replayed: who is mixed with whom is a matter of hashes.

A sample's partner in a view is found among those that training may show, by a hash of (seed, sample, view), never in
the batch. Samples with a label in the data are mixed with such, and those without with those without. Adding
samples changes the partners of few.

Shapes: B samples in a batch, M samples that may be a partner.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import betaincinv
from torch import Tensor

from limbeck.data.draws import mix, unit
from limbeck.errors import DataError

LEVELS = 4096
STEPS = 2**16  # of a share, so that it and what it leaves of 1 are exact
NEAR = 16


class Mixup:
    """Mix each picture with another one of the training samples, both after the changes listed before.

    The label is mixed alike: cross-entropy counts each picture's class by its share.
    alpha: of the Beta(alpha, alpha) distribution of the picture's own share, above 0; 1 makes every share equally
    likely, below 1 most pictures stay nearly whole.
    """

    draws = 2

    def __init__(self, alpha: float = 1.0) -> None:
        if not 0 < alpha < float("inf"):
            raise DataError(f"mixup: alpha must be above 0, but it is {alpha}.")
        self.alpha = alpha

    def __str__(self) -> str:
        """Return the name with its settings, such as 'mixup(alpha=1.0)'."""
        return f"mixup(alpha={self.alpha})"

    def share(self, bits: Tensor) -> Tensor:
        """Return the own share of each sample, float32 [B] in 0..1, by random bits int64 [B]."""
        table = torch.from_numpy(_quantiles(self.alpha)).to(bits.device)
        return table[(unit(bits) * LEVELS).long()]


@dataclass(frozen=True, eq=False)
class Partners:
    """Those that may be a partner, for samples with a label and for others.

    Each of the two is keys, int64 [M] ascending, and their rows, int64 [M].
    """

    labelled: tuple[Tensor, Tensor]
    others: tuple[Tensor, Tensor]

    @classmethod
    def among(cls, rows: Tensor, keys: Tensor, labels: Tensor) -> Partners:
        """Take the rows [M] of a data set of N samples with these keys and labels, both int64 [N]."""
        known = labels[rows] >= 0
        return cls(_ring(rows[known], keys), _ring(rows[~known], keys))

    def to(self, device: torch.device) -> Partners:
        """Return the same on a device."""
        return Partners(_moved(self.labelled, device), _moved(self.others, device))

    def find(self, bits: Tensor, known: Tensor) -> Tensor:
        """Return the partner's row for each sample, int64 [B].

        bits: int64 [B], random; known: bool [B], whether the sample has a label in the data.
        """
        if not len(self.others[0]):
            return _successor(*self.labelled, bits)
        return torch.where(known, _successor(*self.labelled, bits), _successor(*self.others, bits))


def blend(mine: Tensor, theirs: Tensor, share: Tensor) -> Tensor:
    """Return share [B] of mine [B, ...] and the rest of theirs [B, ...]."""
    share = share.view(-1, *[1] * (mine.ndim - 1))
    return mine * share + theirs * (1 - share)


def _ring(rows: Tensor, keys: Tensor) -> tuple[Tensor, Tensor]:
    ordered, order = keys[rows].sort()
    return ordered, rows[order]


def _moved(ring: tuple[Tensor, Tensor], device: torch.device) -> tuple[Tensor, Tensor]:
    return ring[0].to(device), ring[1].to(device)


def _successor(keys: Tensor, rows: Tensor, bits: Tensor) -> Tensor:
    """Return one of the 16 samples whose keys follow the bits, that with the largest hash of both.

    The first that follows would be likelier after a wide gap between keys; among 16 the odds are nearly even.
    """
    near = torch.arange(min(NEAR, len(keys)), device=keys.device)
    bits = bits.contiguous()
    places = (torch.searchsorted(keys, bits)[:, None] + near) % len(keys)
    best = mix(keys[places] ^ mix(bits)[:, None]).argmax(1, keepdim=True)
    return rows[places.gather(1, best).squeeze(1)]


@functools.cache
def _quantiles(alpha: float) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """Return the middles of 4,096 equally likely parts of Beta(alpha, alpha), in steps of 2^-16."""
    values = betaincinv(alpha, alpha, (np.arange(LEVELS) + 0.5) / LEVELS)
    found: np.ndarray[tuple[int], np.dtype[np.float32]] = (np.round(values * STEPS) / STEPS).astype(np.float32)
    return found
