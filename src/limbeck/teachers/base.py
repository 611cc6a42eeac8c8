"""What a teacher is: something that answers for a batch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence

from torch import Tensor, nn

from limbeck.errors import Failure, ObjectiveError
from limbeck.models.adapt import Adapted
from limbeck.types import Batch, Knowledge, Outputs


class Teacher(ABC):
    """Answers for a batch, always in evaluation mode and without gradients.

    provides: what it can give, drawn from {"logits", "probs", "labels", "features", "gradients"}; classes: C;
    fingerprint: changes when its answers would; asked: how many samples it was asked about so far; recalls: whether it
    answers from memory, at no cost; precision: of its arithmetic. A teacher that gives "probs" but no "logits" answers
    with log probabilities in `Knowledge.logits`: their softmax is the distribution, tails and all, but terms that need
    logits are refused. One that provides "features" gives them by the paths of its layers, to who listens to these.
    moving: weights that change within the fit, which a checkpoint then holds as well, and the optimizer those of them
    that want a gradient; None for all teachers but the student itself and its peer.
    """

    provides: frozenset[str]
    classes: int
    fingerprint: str
    asked: int = 0
    recalls: bool = False
    precision: str = "float32"
    moving: nn.Module | None = None

    @abstractmethod
    def current_fingerprint(self) -> str:
        """Return the fingerprint computed anew; it differs from `fingerprint` if anything moved the teacher."""

    @abstractmethod
    def __call__(self, batch: Batch) -> Knowledge:
        """Return what the teacher says about the batch."""

    def answer(self, inputs: Tensor) -> Tensor:
        """Return logits [B, C] whose gradients reach the inputs [B, ...]; only where it provides "gradients"."""
        raise ObjectiveError("This teacher is known by its answers alone, so no gradient goes through it.")

    def follow(self, student: Adapted, step: int) -> None:  # noqa: B027 (most teachers stay as they are)
        """Hear that the student has taken a step, numbered from 0."""

    def hear(self, student: Outputs) -> None:  # noqa: B027 (most teachers do not learn)
        """Hear what the student says about the batch that was asked about last, before it takes its step."""

    def layers(self, inputs: Tensor) -> tuple[str, ...]:
        """Return the paths of the layers that a student's may be compared with, tried on inputs [B, ...]."""
        return ()

    def listen_to(self, names: Sequence[str], inputs: Tensor) -> None:
        """Give these layers' outputs as `Knowledge.features` from now on; none of them again with ().

        inputs: a few samples [B, ...] to try it on. Raises ObjectiveError for a teacher that has no layers, ModelError
        for a layer that cannot be listened to.
        """
        if names:
            raise ObjectiveError("This teacher is known by its answers alone, so nobody can listen to its layers.")


def check_untouched(teachers: Iterable[Teacher | None]) -> None:
    """Raise Failure where a teacher is not what it was before it taught."""
    for teacher in teachers:
        if teacher is not None and teacher.current_fingerprint() != teacher.fingerprint:
            raise Failure("The teacher's weights or buffers changed while the student was trained; this is a bug.")
