"""Round after round: make a batch, ask the teacher, keep both, let the student beside learn, measure.

What a round does follows from the seed, its number and the state alone, so a synthesis that is killed and taken up
again comes to the same samples (on a CPU).
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from limbeck.errors import TrainingError
from limbeck.files import delete
from limbeck.synthesis.gauges import Gauge, measure, trouble
from limbeck.synthesis.guide import Guide
from limbeck.synthesis.learner import Learner
from limbeck.synthesis.maker import Maker
from limbeck.synthesis.pool import Pool
from limbeck.synthesis.state import Progress, load_state, save_state

STATE = "state.safetensors"
SAVED_SECONDS = 10.0
GAUGES = 40  # measured in all
PATIENCE = 0.2  # of the work before trouble ends it


@dataclass(frozen=True)
class Course:
    """How long. rounds: at most; minutes: of work, None for no limit; student_steps: after each round; seed; restart:
    rounds after which what makes samples begins again, None for never.
    """

    rounds: int
    minutes: float | None = None
    student_steps: int = 0
    seed: int = 0
    restart: int | None = None


def synthesise(
    maker: Maker,
    guide: Guide,
    pool: Pool,
    course: Course,
    folder: Path,
    *,
    learner: Learner | None = None,
    tell: Callable[[Gauge], None] = lambda gauge: None,
) -> Progress:
    """Fill the pool, in memory and in a folder, going on where an earlier process was killed.

    learner: the guide's student, where one learns; tell: hears each gauge. Raises TrainingError, with the reason, when
    the samples are no use: not finite, all alike, or of half of the classes at most.
    """
    modules, optimizers = dict(maker.modules), dict(maker.optimizers)
    if learner is not None:
        modules["student"], optimizers["student"] = learner.model.net, learner.optimizer
    if guide.memory is not None:
        modules["memory"] = guide.memory
    progress = load_state(folder / STATE, modules, optimizers) or Progress()
    pool.read(folder, progress.rounds)
    started = time.monotonic() - progress.seconds
    saved = time.monotonic()
    for number in range(progress.round, course.rounds):
        if course.minutes is not None and progress.seconds >= 60 * course.minutes and len(pool):
            break
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_of(course.seed, number))
            if course.restart is not None and number and number % course.restart == 0:
                maker.begin_again()
            made = maker.make(guide, pool.batch)
            with torch.no_grad():
                samples = pool.frame.shown(pool.frame.stored(made.samples))
                pool.add(number, samples, guide.ask(samples).logits)
            share = _share(course, progress)
            progress.round, progress.seconds = number + 1, time.monotonic() - started
            if GAUGES * share >= len(progress.gauges) or progress.round == course.rounds:
                gauge = measure(guide, pool, samples, number, progress.seconds, made.parts)
                progress.gauges.append(asdict(gauge))
                tell(gauge)
                _check(gauge, pool, share)
            for _ in range(course.student_steps if learner is not None else 0):
                assert learner is not None
                learner.learn(*pool.draw(pool.batch))
        if time.monotonic() - saved > SAVED_SECONDS:
            _save(folder, pool, progress, modules, optimizers)
            saved = time.monotonic()
    _save(folder, pool, progress, modules, optimizers)
    return progress


def forget_state(folder: Path) -> None:
    """Delete what only an unfinished synthesis needs."""
    delete(folder / STATE)


def _save(
    folder: Path,
    pool: Pool,
    progress: Progress,
    modules: dict[str, torch.nn.Module],
    optimizers: dict[str, torch.optim.Optimizer],
) -> None:
    """Write new batches, then the state that speaks of them, then delete the old ones: a kill leaves all it needs."""
    progress.rounds = list(pool.rounds)
    pool.write(folder)
    save_state(folder / STATE, modules, optimizers, progress)
    pool.sweep(folder)


def _share(course: Course, progress: Progress) -> float:
    """Return how much of the work was done before this round, 0..1, by rounds or by minutes, whichever is more."""
    spent = 0.0 if course.minutes is None else progress.seconds / (60 * course.minutes)
    return max(progress.round / course.rounds, spent)


def _check(gauge: Gauge, pool: Pool, share: float) -> None:
    """End the work where the samples are no use, once they have had time to become some."""
    reason = trouble(gauge, pool.logits.shape[-1])
    if reason is not None and share >= PATIENCE:
        raise TrainingError(f"Generating samples stopped in round {gauge.round}: {reason}.")


def seed_of(seed: int, number: int) -> int:
    """Return what the draws of a round follow from."""
    return int.from_bytes(hashlib.sha256(f"synthesis/{seed}/{number}".encode()).digest()[:7])
