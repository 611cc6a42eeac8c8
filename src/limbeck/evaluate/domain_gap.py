"""How far two domains lie apart in a model's features. Shapes: S and T samples of either domain, D dimensions."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from limbeck.objectives.maximum_mean_discrepancy import gaussian_kernels

ITERATIONS = 1000


def unbiased_discrepancy(source: Tensor, target: Tensor) -> float:
    """Return the squared maximum mean discrepancy of features [S, D] and [T, D], the U-statistic (Gretton et al. 2012).

    Its kernel is that of the term; it is near 0, and may be below, where the domains are alike. Needs two rows of each.
    """
    kernel, split = gaussian_kernels(torch.cat([source, target]).double()), len(source)
    within = _off_diagonal(kernel[:split, :split]) + _off_diagonal(kernel[split:, split:])
    return float(within - 2 * kernel[:split, split:].mean())


def proxy_distance(source: Tensor, target: Tensor, seed: int = 0) -> float:
    """Return the proxy A-distance `2 (1 - 2 e)`, 0..2, of features [S, D] and [T, D] (Ben-David et al. 2007).

    e is the error of a logistic regression that tells the domains, learned on one half of the rows and tried on the
    other, each domain counting alike; at most 1/2.
    """
    features = torch.cat([source, target]).double().numpy()
    domain = np.repeat([0, 1], [len(source), len(target)])
    learned = np.random.default_rng(seed).permutation(len(domain)) % 2 == 0
    judge = make_pipeline(StandardScaler(), LogisticRegression(max_iter=ITERATIONS, class_weight="balanced"))
    judge.fit(features[learned], domain[learned])
    wrong = judge.predict(features[~learned]) != domain[~learned]
    error = np.mean([wrong[domain[~learned] == one].mean() for one in (0, 1)])
    return float(2 * (1 - 2 * min(error, 0.5)))


def _off_diagonal(kernel: Tensor) -> Tensor:
    count = len(kernel)
    return (kernel.sum() - kernel.diagonal().sum()) / (count * (count - 1))
