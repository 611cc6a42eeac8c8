"""Multi-kernel maximum mean discrepancy between two domains (Long et al. 2015, DAN; Gretton et al. 2012).

Shapes: S rows of the source, T of the target, D dimensions.
"""

from __future__ import annotations

import torch
from torch import Tensor

from limbeck.objectives.domain_term import DomainTerm

WIDTHS = tuple(2.0**power for power in range(-3, 2))


def maximum_mean_discrepancy(source: Tensor, target: Tensor) -> Tensor:
    """Return the squared MMD of features [S, D] and [T, D], at least 0: the biased estimate (V-statistic).

    Its kernel is the mean of `exp(-||x_i - x_j||^2 / (2 a m))` over a = 1/8, 1/4, 1/2, 1, 2, with m the mean of
    `||x_i - x_j||^2` over all pairs of both domains together, which counts as a constant.
    """
    kernel, split = gaussian_kernels(torch.cat([source, target])), len(source)
    within = kernel[:split, :split].mean() + kernel[split:, split:].mean()
    return within - 2 * kernel[:split, split:].mean()


def gaussian_kernels(features: Tensor) -> Tensor:
    """Return the mean of Gaussian kernels of five widths between all rows of features [N, D], [N, N]."""
    squares = features.square().sum(1)
    distances = (squares[:, None] + squares - 2 * features @ features.T).clamp_min(0)
    mean = distances.detach().mean().clamp_min(torch.finfo(distances.dtype).tiny)
    return torch.stack([torch.exp(-distances / (2 * width * mean)) for width in WIDTHS]).mean(0)


class MaximumMeanDiscrepancy(DomainTerm):
    """Squared distance between the mean embeddings of both domains under Gaussian kernels of five widths (DAN).

    layers: auto, the vector before the classifier, or module paths of the student. Published weight: 1.
    """

    def compare(self, place: int, source: Tensor, target: Tensor) -> Tensor:
        """Return the squared discrepancy of a layer."""
        return maximum_mean_discrepancy(source, target)
