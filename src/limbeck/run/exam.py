"""An exam of robustness: who is asked, about what, and what they said about every corruption and severity.

Shapes: S seeds, N samples, K corruptions, L severities.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from limbeck.data.combine import take
from limbeck.data.preprocess import Preprocessing
from limbeck.data.samples import Samples
from limbeck.data.split import by_hash
from limbeck.errors import UserError
from limbeck.robustness.corruption import SEVERITIES, Corruption
from limbeck.robustness.corruptions import CORRUPTIONS, named
from limbeck.robustness.rows import ROWS, RowCorruption
from limbeck.run.attacks import AttackRequest, check_attackable
from limbeck.run.clock import Clock
from limbeck.run.corrupted import are_pictures, corrupted
from limbeck.run.said import Kept, Said
from limbeck.run.subjects import Subject

Floats = NDArray[np.float64]
AnyCorruption = Corruption | RowCorruption


@dataclass(frozen=True)
class Request:
    """What is asked for. Raises UserError where that cannot be meant.

    corruptions: names or families, None for all; severities: of 1 to 5; samples: how many at most; ood: another source,
    whose samples are of another kind; attacks: None for none; budget: minutes, None for no limit; seed: of all that is
    random.
    """

    corruptions: tuple[str, ...] | None = None
    severities: tuple[int, ...] = (1, 3, 5)
    samples: int = 2000
    ood: str | None = None
    attacks: AttackRequest | None = None
    budget: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.severities or not set(self.severities) <= set(SEVERITIES):
            raise UserError(f"severities are whole numbers from 1 to 5, got {', '.join(map(str, self.severities))}.")
        if len(set(self.severities)) < len(self.severities):
            raise UserError(f"a severity is given twice: {', '.join(map(str, self.severities))}.")
        if self.samples < 2:
            raise UserError(f"samples must be 2 or more, got {self.samples}.")
        if self.budget is not None and not self.budget > 0:
            raise UserError(f"the budget is in minutes, above 0, got {self.budget:g}.")


@dataclass(frozen=True, eq=False)
class Exam:
    """samples: N of them; learned: a table's preprocessing; place: where answers are kept, None for nowhere."""

    request: Request
    subjects: tuple[Subject, ...]
    samples: Samples
    learned: Preprocessing | None
    place: Path | None
    corruptions: tuple[AnyCorruption, ...]

    def corrupted(self, corruption: AnyCorruption, severity: int, samples: Samples | None = None) -> Samples:
        """Return the samples of the exam, or some of them, corrupted."""
        chosen = self.samples if samples is None else samples
        return corrupted(chosen, corruption, severity, seed=self.request.seed, learned=self.learned)

    def right(self, said: Said) -> Floats:
        """Return 1 where an answer is right and 0 where not, [S, N]."""
        right: Floats = (said.classes == self.samples.labels.cpu().numpy()).astype(np.float64)
        return right


def exam_of(
    request: Request,
    subjects: Sequence[Subject],
    samples: Samples,
    learned: Preprocessing | None = None,
    place: Path | None = None,
) -> Exam:
    """Return an exam on at most as many samples as are asked for, chosen by a hash of seed and id.

    Raises UserError for attacks of samples that are no pictures.
    """
    if request.attacks is not None:
        check_attackable(samples)
    order = by_hash(samples.ids, request.seed)[: request.samples]
    chosen = named(request.corruptions, pictures=are_pictures(samples))
    return Exam(request, tuple(subjects), take(samples, np.sort(order)), learned, place, tuple(chosen))


Answers = dict[str, dict[int, list[Said]]]


def ask_all(exam: Exam, tell: Callable[[str], object], clock: Clock) -> Answers:
    """Return what each subject said by corruption and severity, those corruptions alone that came to their end.

    What is kept from before is not asked again. Where the clock has a budget, nothing new begins that would not end
    within it, by the time the slowest took. tell: is given a line about each corruption, with the time left.
    """
    keys, kept = [one.key for one in exam.subjects], Kept(exam.place, _mark(exam))
    found: Answers = {}
    left = [cell for cell in _cells(exam) if kept.read(_name(*cell), keys) is None]
    clock.expect(len(left))
    for corruption in exam.corruptions:
        said: dict[int, list[Said]] = {}
        for severity in exam.request.severities:
            name = _name(corruption, severity)
            answers = kept.read(name, keys)
            if answers is None:
                if not clock.allows():
                    return found
                with clock.spending():
                    answers = _ask(exam, corruption, severity)
                    kept.write(name, keys, answers)
            said[severity] = answers
        found[corruption.name] = said
        tell(f"{corruption.name}: {len(found)} of {len(exam.corruptions)}{clock.left()}")
    return found


def _ask(exam: Exam, corruption: AnyCorruption, severity: int) -> list[Said]:
    samples = exam.corrupted(corruption, severity)
    return [Said.of(subject.logits(samples)) for subject in exam.subjects]


def _cells(exam: Exam) -> Iterator[tuple[AnyCorruption, int]]:
    return ((corruption, severity) for corruption in exam.corruptions for severity in exam.request.severities)


def _name(corruption: AnyCorruption, severity: int) -> str:
    return f"{corruption.name}-{severity}"


def _mark(exam: Exam) -> str:
    """Return a hash of all that answers follow from, but for which corruptions and severities were asked for."""
    every: tuple[AnyCorruption, ...] = (*CORRUPTIONS, *ROWS)
    strengths = [[one.name, *one.strengths] for one in every]
    marks = [subject.mark for subject in exam.subjects]
    parts = [exam.request.seed, exam.samples.fingerprint, marks, strengths]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
