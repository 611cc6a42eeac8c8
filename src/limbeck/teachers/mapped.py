"""A teacher whose classes are not those of the data, heard in the classes of the data."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from torch import Tensor

from limbeck.teachers.base import Teacher
from limbeck.teachers.classes import ClassMap
from limbeck.types import Batch, Knowledge


class MappedTeacher(Teacher):
    """Another teacher's answers through a class map.

    Where probabilities are summed, or the teacher does not know a class at all, its logits are no longer logits: it
    then provides probabilities, as their logarithms.
    """

    def __init__(self, teacher: Teacher, classes: ClassMap) -> None:
        self.teacher, self.map = teacher, classes
        self.classes = len(classes.groups)
        self.recalls, self.precision = teacher.recalls, teacher.precision
        self.provides = teacher.provides - ({"gradients"} if classes.plain else {"gradients", "logits"})
        self.fingerprint = self._marked(teacher.fingerprint)

    @property
    def asked(self) -> int:  # type: ignore[override]
        """How many samples the teacher itself was asked about."""
        return self.teacher.asked

    def current_fingerprint(self) -> str:
        """Return the teacher's own, computed anew, with the map."""
        return self._marked(self.teacher.current_fingerprint())

    def __call__(self, batch: Batch) -> Knowledge:
        """Return the teacher's answer for the batch in the classes of the data, [B, C] or int64 [B]."""
        said = self.teacher(batch)
        if said.logits is not None:
            return Knowledge(logits=self.map.scores(said.logits), features=said.features)
        assert said.labels is not None
        return Knowledge(labels=self.map.labels(said.labels))

    def layers(self, inputs: Tensor) -> tuple[str, ...]:
        """Return the layers of the teacher itself."""
        return self.teacher.layers(inputs)

    def listen_to(self, names: Sequence[str], inputs: Tensor) -> None:
        """Give the features of the teacher itself, which no class map changes."""
        self.teacher.listen_to(names, inputs)

    def dropped(self, batch: Batch) -> Tensor:
        """Return the share of each answer, [B] in 0..1, that lies on classes which stand for nothing."""
        said = self.teacher(batch)
        if said.logits is not None:
            return self.map.dropped(said.logits)
        assert said.labels is not None
        return (self.map.labels(said.labels) < 0).double()

    def _marked(self, fingerprint: str) -> str:
        return hashlib.sha256(json.dumps([fingerprint, self.map.groups]).encode()).hexdigest()
