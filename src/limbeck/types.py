"""The values that one part of Limbeck hands to the next.

Shapes: B samples in the batch, C classes, K listed classes of a top-K answer. Class labels are int64 [B] in
0..C-1; -1 means that the label is withheld. Labels of other tasks are float32 [B, C], C values (regression) or C
labels of 0 or 1 (multi-label); a row of NaN is withheld. Images are float32 in 0..1, channels first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor

TaskName = Literal["classification", "regression", "multi_label"]


def known(labels: Tensor) -> Tensor:
    """Return which rows of labels [N] or [N, C] are not withheld: bool [N]."""
    return labels >= 0 if labels.ndim == 1 else ~labels.isnan().any(dim=1)


@dataclass(frozen=True)
class Batch:
    """What is shown to teacher and student alike.

    inputs: [B, ...] float32, images in 0..1.
    labels: int64 [B], -1 where the label is withheld, or float32 [B, C], NaN there; None where there are none at all.
    index: int64 [B], the row of each sample in its data set (the data set knows the row's stable id).
    view: int64 [B], which augmented view of the sample this is; 0 is the untouched sample.
    partner: int64 [B], the row of the sample that is mixed into each (mixup), itself in view 0; None without mixup.
    partner_labels: int64 [B], the partner's label, -1 where it is withheld.
    share: float32 [B], 0..1, how much of the mixed input is the sample itself; 1 in view 0.
    domain: int64 [B], 0 for a sample of the source and 1 for one of the target; None where there is one domain alone.
    """

    inputs: Tensor
    labels: Tensor | None = None
    index: Tensor | None = None
    view: Tensor | None = None
    partner: Tensor | None = None
    partner_labels: Tensor | None = None
    share: Tensor | None = None
    domain: Tensor | None = None


@dataclass(frozen=True)
class Outputs:
    """What a model returns: logits [B, C] of its main head, other heads and features by name."""

    logits: Tensor
    heads: Mapping[str, Tensor] = field(default_factory=dict)
    features: Mapping[str, Tensor] = field(default_factory=dict)
    mask: Tensor | None = None


@dataclass(frozen=True)
class TopK:
    """The K highest logits of an answer, and what the others add up to.

    values: [B, K], highest first; classes: int64 [B, K], whose logits they are; tails: [B] by temperature T, the
    log-sum-exp of the other C - K logits divided by T, -inf where K = C.
    """

    values: Tensor
    classes: Tensor
    tails: Mapping[float, Tensor]


@dataclass(frozen=True)
class Knowledge:
    """What the teacher said about a batch; whether it spoke now or earlier cannot be seen from here.

    logits: [B, C]; probs: [B, C], rows sum to 1; labels: int64 [B], the teacher's top class; topk: in place of logits
    where only the K highest were kept; heads: what the teachers of further tasks said, by the task's name.
    """

    logits: Tensor | None = None
    probs: Tensor | None = None
    labels: Tensor | None = None
    topk: TopK | None = None
    features: Mapping[str, Tensor] = field(default_factory=dict)
    heads: Mapping[str, Knowledge] = field(default_factory=dict)


@dataclass(frozen=True)
class Record:
    """The figures of one epoch of one fit. Observers get it and cannot change training.

    model: "teacher", "student", or a control's name; loss and parts: means over the epoch's steps, parts
    unweighted; accuracy: on the labelled validation rows, 0..1, None where there are none, or for tasks other than
    classification what `measure` names, larger is better; seconds: since the fit began; gradients: None, or where they
    are balanced their norms by term, their cosines by pair of terms, and the weights that each term was multiplied by
    in the end.
    """

    model: str
    seed: int
    epoch: int
    epochs: int
    step: int
    loss: float
    parts: Mapping[str, float]
    accuracy: float | None
    lr: float
    seconds: float
    gradients: Mapping[str, Mapping[str, float]] | None = None
    measure: str = "accuracy"
