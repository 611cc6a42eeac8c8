"""Which samples of an exam withstand attacks: every seed of the models by all, files by those without gradients.

Shapes: S seeds, N samples of the exam, n of them that an attack tries.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from limbeck.data.split import by_hash
from limbeck.models.modes import evaluating
from limbeck.objectives.ball import Norm
from limbeck.robustness.accuracy import attack_accuracy
from limbeck.robustness.attack import Model
from limbeck.robustness.masking import HUGE, TRIED
from limbeck.robustness.named import KINDS, named_attacks
from limbeck.run.assess import TEACHER
from limbeck.run.attacks import MOST, QUERIES, STEPS, AttackRequest
from limbeck.run.clock import Clock
from limbeck.run.exam import Exam
from limbeck.run.fits import STUDENT
from limbeck.run.said import Kept
from limbeck.run.subjects import Subject

Bools = NDArray[np.bool_]
FARTHEST = "farthest"  # a climb that may go to any picture, which tells whether gradients lead anywhere
LEVELS = 255
EFFORT: Mapping[str, int] = {
    "fgsm": 4, "pgd": 3 * STEPS, "margin": 3 * STEPS, "square": QUERIES, "autoattack": 11_000, FARTHEST: 3 * STEPS,
}  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """One question: what does a model withstand? subject: its place in the exam; seed: its place in the subject."""

    attack: str
    epsilon: float
    subject: int
    seed: int


@dataclass(frozen=True, eq=False)
class Assault:
    """The attacks of an exam. request: what it asks for."""

    exam: Exam
    request: AttackRequest

    @cached_property
    def climbable(self) -> frozenset[str]:
        """The keys of the subjects whose gradients can be followed: networks, but neither files nor trees."""
        shown = self.exam.samples.batch(torch.zeros(1, dtype=torch.int64)).inputs
        return frozenset(one.key for one in self.exam.subjects if _has_gradient(one.pixels[0], shown))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The attacks that are tried."""
        return self.request.attacks(transfers=any(self.source(one) for one in self.exam.subjects))

    def source(self, subject: Subject) -> Subject | None:
        """Return whose gradients transfer follows to attack a subject, None where there is nobody.

        Files get what the student fools itself with, the student and its controls what fools the teacher, and the
        teacher what fools the student; without a teacher, student and first control attack each other.
        """
        first: dict[str, Subject] = {}
        for one in self.exam.subjects:
            if one.key in self.climbable:
                first.setdefault(one.role, one)
        order = {"file": [STUDENT], TEACHER: [STUDENT], STUDENT: [TEACHER, "control"], "control": [TEACHER, STUDENT]}
        return next((first[role] for role in order[subject.role] if role in first), None)

    def applies(self, attack: str, subject: Subject) -> bool:
        """Whether an attack can be tried on a subject at all."""
        if attack == "transfer":
            return self.source(subject) is not None
        return attack == "square" or subject.key in self.climbable

    def rows(self, attack: str) -> Tensor:
        """Return the samples of the exam that an attack tries, int64 [n], ascending."""
        most = TRIED if attack == FARTHEST else MOST.get(attack, len(self.exam.samples))
        return torch.from_numpy(np.sort(self._order[:most]))

    @cached_property
    def _order(self) -> NDArray[np.int64]:
        return by_hash(self.exam.samples.ids, self.exam.request.seed)

    def cells(self, attack: str, epsilon: float) -> list[Cell]:
        """Return the questions about one attack and radius."""
        return [
            Cell(attack, epsilon, place, seed)
            for place, subject in enumerate(self.exam.subjects)
            if self.applies(attack, subject)
            for seed in range(len(subject.seeds))
        ]

    def parts(self) -> Iterator[tuple[str, float]]:
        """Yield all attacks and radii, the smallest first, and at last whether gradients lead anywhere."""
        yield from ((attack, epsilon) for epsilon in self.request.radii for attack in self.names)
        if any(KINDS[attack] == "climb" for attack in self.names):
            yield FARTHEST, HUGE


Withstood = dict[tuple[str, float], list[Bools | None]]
"""By attack and radius what became of each subject: which of the samples that were tried are right after it, [S, n]."""


def attack_all(assault: Assault, tell: Callable[[str], object], clock: Clock) -> Withstood:
    """Return which samples withstood, those attacks and radii alone that came to their end.

    What is kept from before is not done again; a budget is kept as for corruptions. tell: is given a line about each.
    """
    parts = list(assault.parts())
    asked = [cell for part in parts for cell in assault.cells(*part)]
    clock.expect(sum(_effort(assault, cell) for cell in asked if _kept(assault, cell) is None))
    found: Withstood = {}
    for number, (attack, epsilon) in enumerate(parts, start=1):
        answers: dict[int, list[Bools]] = {}
        for cell in assault.cells(attack, epsilon):
            known = _kept(assault, cell)
            if known is None:
                if not clock.allows(_effort(assault, cell)):
                    return found
                with clock.spending(_effort(assault, cell)):
                    known = _attack(assault, cell)
                    _keeper(assault, cell).write_arrays(_name(assault, cell), {"withstood": known})
            answers.setdefault(cell.subject, []).append(known)
        each = range(len(assault.exam.subjects))
        found[attack, epsilon] = [np.stack(answers[place]) if place in answers else None for place in each]
        tell(f"{attack} within {epsilon:.3g}: {number} of {len(parts)}{clock.left()}")
    return found


def _attack(assault: Assault, cell: Cell) -> Bools:
    """Return which of the samples that an attack tries are right before and after it, [n]."""
    subject = assault.exam.subjects[cell.subject]
    model, source = subject.pixels[cell.seed], _source_model(assault, cell)
    batch = assault.exam.samples.batch(assault.rows(cell.attack))
    assert batch.labels is not None  # the test samples have them
    device = _device((model, source))
    climb = cell.attack == FARTHEST
    norm: Norm = "linf" if climb else assault.request.norm
    values = math.prod(assault.exam.samples.shape)
    attacks = named_attacks(
        ["pgd" if climb else cell.attack],
        epsilon=within_levels(cell.epsilon, norm, values) if subject.role == "file" else cell.epsilon,
        norm=norm,
        steps=STEPS,
        queries=QUERIES,
        source=source,
        seed=assault.exam.request.seed,
    )
    found = attack_accuracy(model, batch.inputs.to(device), batch.labels.to(device), attacks=attacks)
    withstood: Bools = found.robust.cpu().numpy()
    return withstood


def within_levels(epsilon: float, norm: Norm, values: int) -> float:
    """Return the radius within which a picture of so many values may be changed that is then rounded to 8 bits.

    Rounding moves a value by half of a level at most, and none that is changed by whole levels.
    """
    if norm == "linf":
        return math.floor(epsilon * LEVELS + 1e-6) / LEVELS
    return max(epsilon - math.sqrt(values) / (2 * LEVELS), 0.0)


def _source_model(assault: Assault, cell: Cell) -> Model | None:
    """Return the model that transfer follows: that of the same seed where there is one."""
    subject = assault.exam.subjects[cell.subject]
    source = assault.source(subject) if cell.attack == "transfer" else None
    if source is None:
        return None
    seed = subject.seeds[cell.seed]
    return source.pixels[source.seeds.index(seed) if seed in source.seeds else 0]


def _has_gradient(model: Model, pixels: Tensor) -> bool:
    """Whether a model's logits for pictures [1, ...] follow from them by steps that can be gone back."""
    if not isinstance(model, nn.Module):
        return False
    points = pixels.to(_device((model,))).requires_grad_(True)
    with evaluating(model), torch.enable_grad():
        logits: Tensor = model(points)
        return logits.requires_grad and torch.autograd.grad(logits.sum(), points, allow_unused=True)[0] is not None


def _device(models: tuple[Model | None, ...]) -> torch.device:
    """Return where models are, files apart, which take pictures from anywhere."""
    found = [next(one.parameters(), None) for one in models if isinstance(one, nn.Module)]
    return next((one.device for one in found if one is not None), torch.device("cpu"))


def _effort(assault: Assault, cell: Cell) -> float:
    """Return about how many pictures a model is asked about, going back through it counted twice."""
    steps = EFFORT.get(cell.attack, 3 * STEPS)
    return float(steps * len(assault.rows(cell.attack)))


def _kept(assault: Assault, cell: Cell) -> Bools | None:
    found = _keeper(assault, cell).read_arrays(_name(assault, cell))
    return None if found is None else found.get("withstood")


def _keeper(assault: Assault, cell: Cell) -> Kept:
    """Return where an answer is kept, marked with all that it follows from."""
    exam = assault.exam
    subject = exam.subjects[cell.subject]
    source = assault.source(subject) if cell.attack == "transfer" else None
    parts = [
        exam.request.seed, exam.samples.fingerprint, len(assault.rows(cell.attack)), STEPS, QUERIES, cell.epsilon,
        subject.mark, None if source is None else [source.mark, source.seeds],
    ]  # fmt: skip
    return Kept(exam.place, hashlib.sha256(json.dumps(parts).encode()).hexdigest())


def _name(assault: Assault, cell: Cell) -> str:
    subject = assault.exam.subjects[cell.subject]
    radius = f"{assault.request.norm}-{cell.epsilon:.6g}"
    return f"{cell.attack}-{radius}-{subject.key}-{subject.seeds[cell.seed]}"
