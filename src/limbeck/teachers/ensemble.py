"""Several teachers of one label space that answer as one.

Shapes: M teachers, B samples, C classes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from limbeck.errors import ObjectiveError
from limbeck.teachers.base import Teacher
from limbeck.types import Batch, Knowledge

Combine = Literal["probabilities", "logits"]
Weight = Annotated[float, Field(gt=0)]
Weights = Literal["equal", "confidence", "agreement"] | Annotated[tuple[Weight, ...], Field(min_length=2)]


@dataclass(frozen=True)
class Combination:
    """How the answers of several teachers become one.

    combine: their mean of probabilities (at temperature 1, softened after) or of logits (then of the geometric kind);
    weights: equal ones, a list with one for each teacher, or by sample: confidence gives each teacher 1 over the number
    of classes that it hesitates among, the exponential of its entropy; agreement the number of teachers, itself
    included, that name its top class.
    """

    combine: Combine = "probabilities"
    weights: Weights = "equal"


def shares(logs: Tensor, weights: Weights) -> Tensor:
    """Return what share of an answer each teacher has, [M, B], columns sum to 1; logs: log probabilities [M, B, C].

    A list is divided by its sum. confidence: exp(-H), H the entropy in nats; agreement: how many of the M top classes
    are the teacher's own.
    """
    count, samples, _ = logs.shape
    if weights == "confidence":
        found = torch.exp(-torch.special.entr(logs.exp()).sum(dim=2))
    elif weights == "agreement":
        top = logs.argmax(dim=2)
        found = (top[:, None] == top[None]).sum(dim=1).to(logs.dtype)
    else:
        given = [1.0] * count if weights == "equal" else list(weights)
        found = logs.new_tensor(given)[:, None].expand(count, samples)
    return found / found.sum(dim=0)


def combined(logits: Tensor, combination: Combination) -> Tensor:
    """Return one answer [B, C] for those of M teachers [M, B, C], which may be log probabilities.

    probabilities: the logarithm of the weighted mean of softmax(logits); logits: their weighted mean.
    """
    logits = logits.float()
    logs = torch.log_softmax(logits, dim=2)
    parts = shares(logs, combination.weights)[:, :, None]
    if combination.combine == "logits":
        return (parts * logits).sum(dim=0)
    return torch.logsumexp(logs + parts.log(), dim=0)


class EnsembleTeacher(Teacher):
    """Teachers by name, whose answers are combined; it provides no features, since there are as many as teachers.

    A mean of probabilities is given as its logarithm and provides no logits. Raises ObjectiveError for a teacher whose
    answers cannot be averaged, and for a number of weights that is not that of the teachers.
    """

    def __init__(self, members: Mapping[str, Teacher], combination: Combination) -> None:
        _check(members, combination)
        self.members, self.combination = tuple(members.values()), combination
        self.classes = self.members[0].classes
        self.provides = frozenset({"probs", "labels"} | ({"logits"} if combination.combine == "logits" else set()))
        self.recalls = all(one.recalls for one in self.members)
        coarse = [one.precision for one in self.members if one.precision != "float32"]
        self.precision = coarse[0] if coarse else "float32"
        self.asked = 0
        self.fingerprint = self._marked([one.fingerprint for one in self.members])

    def current_fingerprint(self) -> str:
        """Return that of all teachers, computed anew, and of how they are combined."""
        return self._marked([one.current_fingerprint() for one in self.members])

    def __call__(self, batch: Batch) -> Knowledge:
        """Return the combined answer [B, C] for the batch, which counts as one question for each sample."""
        self.asked += len(batch.inputs)
        said = [one(batch).logits for one in self.members]
        given = [one.to(batch.inputs.device) for one in said if one is not None]  # all give scores, see `_check`
        return Knowledge(logits=combined(torch.stack(given), self.combination))

    def _marked(self, fingerprints: Sequence[str]) -> str:
        return hashlib.sha256(json.dumps([list(fingerprints), asdict(self.combination)]).encode()).hexdigest()


def _check(members: Mapping[str, Teacher], combination: Combination) -> None:
    for name, one in members.items():
        if not one.provides & {"logits", "probs"}:
            raise ObjectiveError(
                f"The teacher {name} of the ensemble names a class and says no more, but an ensemble averages "
                f"{combination.combine}; leave it out."
            )
        if combination.combine == "logits" and "logits" not in one.provides:
            raise ObjectiveError(
                f"The teacher {name} of the ensemble gives probabilities, not logits; say combine: probabilities."
            )
    if not isinstance(combination.weights, str) and len(combination.weights) != len(members):
        raise ObjectiveError(
            f"weights has {len(combination.weights)} values for {len(members)} teachers; expected one for each."
        )
