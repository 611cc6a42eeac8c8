"""A yardstick without training: the vote of the nearest other samples. N: samples, C: classes."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

VOTERS = 5
LARGEST_SIDE = 16


def guess_by_neighbours(inputs: Tensor, labels: Tensor) -> Tensor:
    """Return for each sample the class that most of its five nearest others have: int64 [N].

    inputs: [N, ...]; labels: int64 [N] in 0..C-1. Distances are Euclidean between standardised values, pictures
    made 16 pixels a side at most. Among equals the lower class counts.
    """
    values = _flat(inputs)
    distances = torch.cdist(values, values).fill_diagonal_(torch.inf)
    nearest = distances.topk(min(VOTERS, len(values) - 1), largest=False).indices
    return functional.one_hot(labels[nearest], int(labels.max()) + 1).sum(1).argmax(1)


def _flat(inputs: Tensor) -> Tensor:
    if inputs.ndim == 4 and max(inputs.shape[2:]) > LARGEST_SIDE:
        inputs = functional.adaptive_avg_pool2d(inputs, LARGEST_SIDE)
    values = inputs.flatten(1).float()
    return (values - values.mean(0)) / values.std(0).clamp_min(1e-6)
