"""Correlation alignment of two domains (Sun and Saenko 2016, Deep CORAL)."""

from __future__ import annotations

from torch import Tensor

from limbeck.objectives.domain_term import DomainTerm


def correlation_alignment(source: Tensor, target: Tensor) -> Tensor:
    """Return `||C_S - C_T||_F^2 / (4 D^2)` of features [S, D] and [T, D]; 0 where a domain has a single row.

    C are the unbiased covariances (equations 1 to 3 of the paper).
    """
    if min(len(source), len(target)) < 2:
        return (source.sum() + target.sum()) * 0
    difference = _covariance(source) - _covariance(target)
    return difference.square().sum() / (4 * source.shape[1] ** 2)


def _covariance(features: Tensor) -> Tensor:
    centred = features - features.mean(0)
    return centred.T @ centred / (len(features) - 1)


class CorrelationAlignment(DomainTerm):
    """Squared difference between the covariances of both domains' features (CORAL).

    layers: auto, the vector before the classifier, or module paths of the student. Published weight: such that it is
    about as large as the cross-entropy at the end.
    """

    def compare(self, place: int, source: Tensor, target: Tensor) -> Tensor:
        """Return the squared difference of a layer."""
        return correlation_alignment(source, target)
