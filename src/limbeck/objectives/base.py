"""What every term of an objective is.

Shapes: B samples, C classes. A term is one file: a pure function first, then a thin class around it whose
constructor is its recipe schema. `weight` is no business of a term; the objective multiplies.
"""

from __future__ import annotations

import inspect
import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from limbeck.models.arithmetic import PLAIN, Arithmetic
from limbeck.types import Batch, Knowledge, Outputs, TaskName

CLASSIFICATION: frozenset[TaskName] = frozenset({"classification"})
REGRESSION: frozenset[TaskName] = frozenset({"regression"})
MULTI_LABEL: frozenset[TaskName] = frozenset({"multi_label"})
EVERY_TASK = CLASSIFICATION | REGRESSION | MULTI_LABEL


@dataclass(frozen=True)
class Context:
    """What a term may look at before training.

    student: the module that is trained; samples: the number of training samples; student_layers, teacher_layers: paths
    of the layers that may be compared where nobody names some, in the order of a forward pass: all features that are
    given unless said. arithmetic: how the student computes where a term asks it itself; teacher: from inputs [B, ...]
    to the teacher's logits [B, C], with gradients at the inputs, None where it gives none.
    """

    student: nn.Module
    samples: int
    student_layers: tuple[str, ...] = ()
    teacher_layers: tuple[str, ...] = ()
    arithmetic: Arithmetic = PLAIN
    teacher: Callable[[Tensor], Tensor] | None = None


class Term(nn.Module, ABC):
    """One summand of the training loss.

    needs: what it asks of the teacher, a subset of {"logits", "probs", "labels", "features", "gradients"}; empty for a
    term that does without one. unlabelled: whether samples without a label teach it anything. additive: whether a batch
    may be taken in parts, each counting by the rows that the loss is a mean over; not where samples are related to each
    other. topk: whether it works with `Knowledge.topk` in place of all logits. tasks: those whose labels and answers it
    is made for. aims: whether it draws the student's distribution to one that it can name, by `aim`, which is all that
    a tree can learn from.
    """

    needs: frozenset[str] = frozenset()
    unlabelled: bool = True
    additive: bool = True
    topk: bool = False
    tasks: ClassVar[frozenset[TaskName]] = EVERY_TASK
    aims: bool = False

    def describe(self) -> str:
        """Return the recipe's name with its options, such as 'soft_labels(temperature=4.0)'; none that are None."""
        names = [name for name in inspect.signature(type(self).__init__).parameters if name != "self"]
        options = {name: getattr(self, name) for name in names if name not in ("args", "kwargs")}
        inside = ", ".join(f"{name}={value!r}" for name, value in options.items() if value is not None)
        return f"{snake_case(type(self).__name__)}({inside})" if inside else snake_case(type(self).__name__)

    @property
    def learned(self) -> dict[str, float]:
        """What the term has learned for itself that is worth noting, by name. Most terms learn nothing."""
        return {}

    def at_epoch(self, epoch: float | None) -> None:
        """Be told how many epochs have passed, None where nobody knows. Most terms do not care."""

    def prepare(self, student: Outputs, teacher: Knowledge, context: Context) -> None:
        """Build what depends on shapes, before the optimizer exists. Most terms need nothing."""

    def counted(self, teacher: Knowledge, batch: Batch) -> int | Tensor:
        """Return how many rows the loss is a mean over, so that parts of a batch can be put together."""
        return len(batch.inputs)

    def aim(self, teacher: Knowledge, batch: Batch, classes: int) -> tuple[Tensor, Tensor]:
        """Return the distribution that each row is drawn to [B, C], and how much the row counts, 0..1 [B].

        The loss is then, up to what the student cannot change, the sum over rows of what they count times their
        cross-entropy, divided by `counted`. Only where `aims` says so.
        """
        raise NotImplementedError(snake_case(type(self).__name__))

    @abstractmethod
    def forward(self, student: Outputs, teacher: Knowledge, batch: Batch) -> Tensor:
        """Return the loss, a scalar."""


def snake_case(name: str) -> str:
    """Return the recipe's name of a class: SoftLabels becomes soft_labels."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def promote(values: Tensor) -> Tensor:
    """Turn half types into float32; float32 and float64 stay."""
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values


def log_softened(knowledge: Knowledge, temperature: float | Tensor) -> Tensor:
    """Return the teacher's log probabilities [B, C] at a temperature above 0.

    From logits z: log softmax(z / T). From probabilities p: those of p^(1/T), renormalised, zeros clipped at
    1e-12 (a teacher that gives probabilities only).
    """
    if knowledge.logits is not None:
        return torch.log_softmax(promote(knowledge.logits) / temperature, dim=1)
    assert knowledge.probs is not None  # the objective has checked what the teacher provides
    logs = promote(knowledge.probs).clamp_min(1e-12).log()
    return torch.log_softmax(logs / temperature, dim=1)


def top_class(knowledge: Knowledge) -> Tensor:
    """Return the teacher's top class, int64 [B]."""
    if knowledge.labels is not None:
        return knowledge.labels
    if knowledge.topk is not None:
        return knowledge.topk.classes[:, 0]
    scores = knowledge.logits if knowledge.logits is not None else knowledge.probs
    assert scores is not None  # the objective has checked what the teacher provides
    return scores.argmax(dim=1)
