"""Figures of merit where a sample has several labels: how well each label is ranked, and decided.

Shapes: N samples, C labels. Scores are [N, C], larger for yes, such as probabilities; truth is 0 or 1 [N, C]. Rates lie
in 0..1. A label that no test sample has, or for `auroc` that all have, tells nothing and counts for nothing in a mean.
Each figure comes as values [N] whose mean it is, see `limbeck.evaluate.jackknife`. Nothing here needs torch.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from limbeck.evaluate.jackknife import pseudo_values

Floats = NDArray[np.float64]
Leaving = Callable[[Floats, Floats], tuple[float, Floats]]

DECISION = 0.5  # a probability above it is a yes


def average_precision(scores: Floats, truth: Floats) -> tuple[float, Floats]:
    """Return the average precision of one label, and what it would be without each sample; all arguments are [N].

    The mean over positive samples of the precision among those with their score or a higher one, so samples of equal
    score count together. Without a positive one it is 0. O(N log N).
    """
    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order], truth[order]
    last = np.searchsorted(-ranked, -ranked, side="right") - 1  # of the samples of equal score
    seen, found, positives = last + 1.0, hits.cumsum()[last], hits.sum()
    if positives == 0:
        return 0.0, np.zeros(len(truth))
    fewer = np.maximum(seen - 1, 1)
    total = float((hits * found / seen).sum())
    if_positive_goes = hits * ((found - 1) / fewer - found / seen)
    if_negative_goes = hits * (found / fewer - found / seen)
    first = np.searchsorted(-ranked, -ranked, side="left")  # from here on a sample counts in what others find
    changed = total + np.where(
        hits > 0,
        _from(if_positive_goes, first) - if_positive_goes - hits * found / seen,
        _from(if_negative_goes, first),
    )
    left = positives - hits
    without = np.empty(len(truth))
    without[order] = np.where(left > 0, changed / np.maximum(left, 1), 0.0)
    return total / float(positives), without


def auroc(scores: Floats, truth: Floats) -> tuple[float, Floats]:
    """Return the area under the receiver operating characteristic of one label, and that without each sample; [N].

    The share of pairs of a positive and a negative sample in which the positive one has the higher score, equal ones
    counting half. Where one side is empty it is 0.5.
    """
    yes, no = np.sort(scores[truth > 0]), np.sort(scores[truth == 0])
    pairs = len(yes) * len(no)
    if not pairs:
        return 0.5, np.full(len(truth), 0.5)
    beaten = _below(no, scores)
    beating = len(yes) - _below(yes, scores)
    won = np.where(truth > 0, beaten, beating)  # of the pairs that a sample is in
    total = float(beaten[truth > 0].sum())
    left = pairs - np.where(truth > 0, len(no), len(yes))
    return total / pairs, np.where(left > 0, (total - won) / np.maximum(left, 1), 0.5)


def f1(scores: Floats, truth: Floats) -> tuple[float, Floats]:
    """Return F1 of one label at the decision 0.5, and that without each sample; [N]. 0 where nothing was found."""
    said = scores > DECISION
    right, weight = said & (truth > 0), said.astype(np.float64) + truth
    both, each = 2.0 * right.sum(), weight.sum()
    without = (both - 2.0 * right) / np.maximum(each - weight, 1.0)
    return float(both / max(each, 1.0)), without


def values_of(figure: Leaving, scores: Floats, truth: Floats) -> Floats:
    """Return values [N] whose mean is a figure's mean over labels, those apart that tell nothing."""
    scores, truth = _checked(scores, truth)
    each = [figure(scores[:, label], truth[:, label]) for label in telling(figure, truth)]
    if not each:
        return np.zeros(len(truth))
    whole = float(np.mean([one for one, _ in each]))
    return pseudo_values(whole, np.mean([without for _, without in each], axis=0))


def by_label(figure: Leaving, scores: Floats, truth: Floats) -> list[Floats | None]:
    """Return the same for each label by itself: values [N], None for a label that tells nothing."""
    scores, truth = _checked(scores, truth)
    told = set(telling(figure, truth))
    return [
        pseudo_values(*figure(scores[:, label], truth[:, label])) if label in told else None
        for label in range(truth.shape[1])
    ]


def telling(figure: Leaving, truth: Floats) -> list[int]:
    """Return the labels on which a figure says something: some sample has them, and for `auroc` not all have."""
    counts = truth.sum(axis=0)
    most = len(truth) - 1 if figure is auroc else len(truth)
    return [label for label, count in enumerate(counts.tolist()) if 1 <= count <= most]


def _from(values: Floats, first: NDArray[np.int64]) -> Floats:
    """Return the sum of values from each place on."""
    sums: Floats = np.append(values[::-1].cumsum()[::-1], 0.0)[first]
    return sums


def _below(others: Floats, scores: Floats) -> Floats:
    """Return how many of the sorted others lie below each score, equal ones counting half."""
    low, high = (np.searchsorted(others, scores, side=side) for side in ("left", "right"))
    return np.asarray((low + high) / 2.0)


def _checked(scores: Floats, truth: Floats) -> tuple[Floats, Floats]:
    scores, truth = np.asarray(scores, np.float64), np.asarray(truth, np.float64)
    if scores.ndim != 2 or scores.shape != truth.shape or scores.size == 0:
        raise ValueError(
            f"Expected scores and truth of one shape [samples, labels]; got {scores.shape}, {truth.shape}."
        )
    if not np.isfinite(scores).all() or not np.isin(truth, (0.0, 1.0)).all():
        raise ValueError("Expected finite scores and a truth of 0 and 1; check that training did not diverge.")
    return scores, truth
