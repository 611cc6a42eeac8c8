"""A term that is about one further task. Shapes: B samples, T classes of the task."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from torch import Tensor

from limbeck.data.further import FurtherTask
from limbeck.errors import ObjectiveError
from limbeck.objectives.adversarial_term import AdversarialTerm
from limbeck.objectives.base import CLASSIFICATION, Context, Term, snake_case
from limbeck.objectives.domain_term import DomainTerm
from limbeck.objectives.feature_term import FeatureTerm
from limbeck.objectives.l2_sp import L2Sp
from limbeck.objectives.learning_without_forgetting import LearningWithoutForgetting
from limbeck.objectives.minimum_class_confusion import MinimumClassConfusion
from limbeck.objectives.weight_penalty import WeightPenalty
from limbeck.types import Batch, Knowledge, Outputs

SHARED: tuple[type[Term], ...] = (
    AdversarialTerm, DomainTerm, FeatureTerm, L2Sp, LearningWithoutForgetting, MinimumClassConfusion, WeightPenalty,
)  # fmt: skip
"""Terms on what all tasks share, inputs, features or weights; they are of no task."""


class OfTask(Term):
    """A term that sees a further task's head, its teacher's answers and its labels, and nothing else.

    Where the term needs logits of a teacher, this one needs `kind:logits`, those of the teacher of the task `kind`.
    Raises ObjectiveError for a term on what the tasks share.
    """

    tasks = CLASSIFICATION

    def __init__(self, term: Term, task: FurtherTask) -> None:
        super().__init__()
        if isinstance(term, SHARED):
            raise ObjectiveError(shared_sentence(snake_case(type(term).__name__), task.name))
        self.term, self.task = term, task
        self.needs = of_task(task.name, term.needs)
        self.unlabelled, self.additive, self.topk = term.unlabelled, term.additive, term.topk

    @property
    def title(self) -> str:
        """What the term is called among others."""
        return f"{snake_case(type(self.term).__name__)} of {self.task.name}"

    def describe(self) -> str:
        """Return the recipe's name of the term, with its options and the task."""
        return f"{self.term.describe()} of {self.task.name}"

    @property
    def learned(self) -> dict[str, float]:
        """What the term has learned for itself."""
        return self.term.learned

    def at_epoch(self, epoch: float | None) -> None:
        """Tell the term how many epochs have passed."""
        self.term.at_epoch(epoch)

    def prepare(self, student: Outputs, teacher: Knowledge, context: Context) -> None:
        """Let the term see the shapes of its task."""
        self.term.prepare(self._head(student), self._answers(teacher), replace(context, teacher=None))

    def counted(self, teacher: Knowledge, batch: Batch) -> int | Tensor:
        """Return how many rows the loss is a mean over."""
        return self.term.counted(self._answers(teacher), self._labelled(batch))

    def forward(self, student: Outputs, teacher: Knowledge, batch: Batch) -> Tensor:
        """Return the loss, a scalar."""
        loss: Tensor = self.term(self._head(student), self._answers(teacher), self._labelled(batch))
        return loss

    def _head(self, student: Outputs) -> Outputs:
        if self.task.name not in student.heads:
            there = ", ".join(student.heads) or "none"
            raise ObjectiveError(
                f"{self.title} expects the student to have a head of that name in Outputs.heads; there is {there}."
            )
        return Outputs(logits=student.heads[self.task.name])

    def _answers(self, teacher: Knowledge) -> Knowledge:
        return teacher.heads.get(self.task.name, Knowledge())

    def _labelled(self, batch: Batch) -> Batch:
        mine, theirs = (None if one is None else self.task.labels(one) for one in (batch.labels, batch.partner_labels))
        return replace(batch, labels=mine, partner_labels=theirs)


def of_task(task: str, given: Iterable[str]) -> frozenset[str]:
    """Return what a teacher of a further task gives, or a term about it asks for, as other teachers see it."""
    return frozenset(f"{task}:{one}" for one in given)


def shared_sentence(term: str, task: str) -> str:
    """Say that a term cannot be about one task."""
    return (
        f"{term} is about what all tasks share (inputs, features or weights), so it cannot be of the task {task}; "
        f"leave its `task` out."
    )
