"""Corruptions that a student is shown in training, while its teacher is asked about the samples as they are.

As with views, what is drawn follows from what is shown, never from order, batch or process.

Shapes: B samples, C channels, H rows and W columns of pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from limbeck.data.draws import random_bits, uniform
from limbeck.data.hashing import hash64
from limbeck.robustness.corruption import Corruption

DRAWN = ("whether", "which", "how badly")


@dataclass(frozen=True)
class Corrupting:
    """A share of showings that are corrupted, each by one of some corruptions at one of some severities.

    share: 0 < share <= 1. Every corruption and severity is equally likely, drawn anew at each showing of a sample.
    """

    corruptions: tuple[Corruption, ...]
    severities: tuple[int, ...]
    share: float
    seed: int

    def __str__(self) -> str:
        """Return what reports and fingerprints say of it."""
        names, severities = ", ".join(one.name for one in self.corruptions), ", ".join(map(str, self.severities))
        return f"{names} at severity {severities}, {100 * self.share:g} % of what student and controls are shown"

    def __call__(self, pixels: Tensor, keys: Tensor, showing: Tensor) -> Tensor:
        """Return pictures [B, C, H, W] in 0..1 as they are shown; those that are not corrupted are the same bits.

        keys: int64 [B], the hash of each sample's id; showing: int64 [B], how often each was shown before.
        """
        salts = [hash64(f"{self.seed}/corrupting/{what}") for what in (*DRAWN, "how")]
        own = torch.tensor(salts, dtype=torch.int64, device=keys.device)
        whether, which, badly = uniform(own[:3], keys, showing).unbind(1)
        kinds = (which * len(self.corruptions)).long()
        levels = (badly * len(self.severities)).long()
        index = random_bits(own[3:], keys, showing)[:, 0]
        found = pixels.clone()
        for kind, corruption in enumerate(self.corruptions):
            for level, severity in enumerate(self.severities):
                chosen = (whether < self.share) & (kinds == kind) & (levels == level)
                rows = torch.nonzero(chosen)[:, 0]
                if len(rows):
                    found[rows] = corruption(pixels[rows], severity, seed=self.seed, index=index[rows])
        return found
