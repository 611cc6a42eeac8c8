"""Neuron selectivity transfer: which places channels answer to, as a set (Huang and Wang 2017)."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from limbeck.objectives.base import Context
from limbeck.objectives.feature_term import FeatureTerm, check_space, same_space
from limbeck.types import Batch


def neuron_selectivity(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the squared maximum mean discrepancy between channel maps, kernel `(a.b)^2`, mean over the batch.

    student: [B, C, *space]; teacher: [B, D, *space]; each channel's map has length 1 (equation 9 of the paper).
    """
    mine, theirs = (functional.normalize(one.flatten(2), dim=2) for one in (student, teacher))
    return (_kernel(mine, mine) - 2 * _kernel(mine, theirs) + _kernel(theirs, theirs)).mean()


def _kernel(left: Tensor, right: Tensor) -> Tensor:
    """Return the mean of (a.b)^2 over all pairs of maps of a sample, [B]; maps [B, C, S] and [B, D, S]."""
    return (left @ right.transpose(1, 2)).square().mean(dim=(1, 2))


class NeuronSelectivity(FeatureTerm):
    """Squared maximum mean discrepancy between the places that the student's and the teacher's channels answer to.

    layers: auto, the last stage, or pairs student:teacher of module paths. The larger features are averaged to the size
    of the smaller ones; numbers of channels may differ. Published weight: 50.
    """

    reach = "last"

    def build(self, context: Context) -> None:
        """Check that every layer has places to answer to."""
        check_space("neuron_selectivity", self.pairs)

    def compare(self, place: int, student: Tensor, teacher: Tensor, batch: Batch) -> Tensor:
        """Return the discrepancy of a pair."""
        return neuron_selectivity(*same_space(student, teacher))
