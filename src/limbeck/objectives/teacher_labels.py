"""Hard labels of the teacher (pseudo-labels, Lee 2013): what a teacher gives that says its top class only."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import one_hot

from limbeck.objectives.base import CLASSIFICATION, Term, top_class
from limbeck.objectives.cross_entropy import cross_entropy
from limbeck.types import Batch, Knowledge, Outputs


class TeacherLabels(Term):
    """Cross-entropy of the student's logits with the teacher's top class, averaged over the batch."""

    needs = frozenset({"labels"})
    tasks = CLASSIFICATION
    topk = True
    aims = True

    def counted(self, teacher: Knowledge, batch: Batch) -> int | Tensor:
        """Return how many rows the teacher names a class for."""
        return (top_class(teacher) >= 0).sum()

    def aim(self, teacher: Knowledge, batch: Batch, classes: int) -> tuple[Tensor, Tensor]:
        """Return the teacher's top class as a distribution; a row without one counts 0."""
        top = top_class(teacher)
        return one_hot(top.clamp_min(0), classes).float(), (top >= 0).float()

    def forward(self, student: Outputs, teacher: Knowledge, batch: Batch) -> Tensor:
        """Return the loss, a scalar."""
        return cross_entropy(student.logits, top_class(teacher))
