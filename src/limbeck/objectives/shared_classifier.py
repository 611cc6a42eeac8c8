"""The teacher's own classifier is used again, so the student learns the vector before it (Chen et al. 2022, SimKD)."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from limbeck.errors import ObjectiveError
from limbeck.objectives.base import Context
from limbeck.objectives.feature_term import FeatureTerm, channels_of, over_space
from limbeck.objectives.pairing import Layers
from limbeck.types import Batch


class SharedClassifier(FeatureTerm):
    """Mean squared error between the student's vector before its classifier and the teacher's, of the same width.

    layers: auto, or one pair student:teacher of module paths, such as projector:body, where auto does not find the
    layer that the teacher's classifier gets. In a run the student gets a projector to that width and the teacher's
    classifier, which nothing trains; both ship with it and are counted. In a loop of one's own the student's last
    features are [B, D] with D the teacher's; those of the teacher's pictures and tokens are averaged over space.
    Published weight: 1, and no other term.
    """

    reach = "embedding"

    def __init__(self, layers: Layers = "auto") -> None:
        super().__init__(layers)
        if len(self.named) > 1:
            raise ObjectiveError(f"shared_classifier compares one pair of layers, got {len(self.named)}.")

    def build(self, context: Context) -> None:
        """See that both have one width."""
        for pair in self.pairs:
            if pair.student_shape != (channels_of(pair.teacher_shape),):
                raise ObjectiveError(
                    f"shared_classifier compares vectors of one width, but was given {pair}; project the student's "
                    f"features to the width of the teacher's first."
                )

    def compare(self, place: int, student: Tensor, teacher: Tensor, batch: Batch) -> Tensor:
        """Return the mean squared error of a pair."""
        return functional.mse_loss(student, over_space(teacher))
