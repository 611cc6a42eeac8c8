"""The teachers of several tasks, each heard about its own. Shapes: B samples, T classes of a further task."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence

from torch import Tensor

from limbeck.teachers.base import Teacher
from limbeck.types import Batch, Knowledge


class SeveralTeachers(Teacher):
    """A teacher of the main task, or none, and one for each of some further tasks.

    It provides what the first does and, of the task `kind`, what that one's teacher does as `kind:logits` and so on;
    the answers for further tasks are in `Knowledge.heads`. Gradients and features go through the first alone.
    """

    def __init__(self, main: Teacher | None, others: Mapping[str, Teacher]) -> None:
        self.main, self.others = main, dict(others)
        self.classes = 0 if main is None else main.classes
        own = frozenset() if main is None else main.provides
        self.provides = own.union(f"{task}:{one}" for task, other in self.others.items() for one in other.provides)
        self.recalls = all(one.recalls for one in self)
        coarse = [one.precision for one in self if one.precision != "float32"]
        self.precision = coarse[0] if coarse else "float32"
        self.moving = None if main is None else main.moving
        self.fingerprint = self._marked([one.fingerprint for one in self])

    def __iter__(self) -> Iterator[Teacher]:
        """Yield the teachers, the main task's first."""
        yield from (() if self.main is None else (self.main,))
        yield from self.others.values()

    @property
    def asked(self) -> int:  # type: ignore[override]
        """How many samples those were asked about that do not recall."""
        return sum(one.asked for one in self if not one.recalls)

    def current_fingerprint(self) -> str:
        """Return that of all teachers, computed anew."""
        return self._marked([one.current_fingerprint() for one in self])

    def __call__(self, batch: Batch) -> Knowledge:
        """Return the answers of all teachers for the batch."""
        said = Knowledge() if self.main is None else self.main(batch)
        heads = {task: other(batch) for task, other in self.others.items()}
        return Knowledge(said.logits, said.probs, said.labels, said.topk, said.features, heads)

    def answer(self, inputs: Tensor) -> Tensor:
        """Return the main teacher's logits [B, C], whose gradients reach the inputs [B, ...]."""
        return super().answer(inputs) if self.main is None else self.main.answer(inputs)

    def layers(self, inputs: Tensor) -> tuple[str, ...]:
        """Return the layers of the main teacher that others may be compared with."""
        return super().layers(inputs) if self.main is None else self.main.layers(inputs)

    def listen_to(self, names: Sequence[str], inputs: Tensor) -> None:
        """Give features of the main teacher's layers from now on."""
        if self.main is None:
            super().listen_to(names, inputs)
        else:
            self.main.listen_to(names, inputs)

    def _marked(self, fingerprints: Sequence[str]) -> str:
        return hashlib.sha256(json.dumps([self.main is None, [*self.others], list(fingerprints)]).encode()).hexdigest()
