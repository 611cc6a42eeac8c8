"""Seeds side by side: what a fit that is too small for a second processor core leaves idle, other seeds use.

Helpers are processes (`limbeck.run.some_seeds`) that train some of a run's seeds into its folder, while the run itself
trains the others and then reads what they wrote. Fits that are helped with use one thread in any case, so helpers
change no figure; one that dies costs time alone, since the run trains what it does not find.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO, Any

import torch

from limbeck.models.work import multiply_adds
from limbeck.run.chains import steps_by_fit
from limbeck.run.fits import Workshop
from limbeck.run.folder import is_python_run
from limbeck.run.jobs import FIT
from limbeck.run.model_plan import ModelPlan
from limbeck.run.plan import Plan
from limbeck.run.sweep import points_of
from limbeck.teachers.base import Teacher
from limbeck.train import ranks
from limbeck.train.threads import SMALL_STEP
from limbeck.types import Record

WORTH_STEPS = 10_000  # for a helper: it takes seconds to begin; judged by benchmarks/beside.py
DATA_BYTES = 2**28  # that every helper reads anew


class Helpers:
    """Processes that train some seeds of a run. seeds: those that are left to the run itself."""

    def __init__(self, workshop: Workshop, shares: Sequence[Sequence[int]]) -> None:
        self.workshop, self.seeds = workshop, shares[0] if shares else workshop.plan.seeds
        self._errors = [tempfile.TemporaryFile("w+") for _ in shares[1:]]  # noqa: SIM115 (closed by `end`)
        self._processes = [self._start(share, file) for share, file in zip(shares[1:], self._errors, strict=True)]
        self._listeners = [threading.Thread(target=self._listen, args=(one,), daemon=True) for one in self._processes]
        for listener in self._listeners:
            listener.start()

    def wait(self) -> None:
        """Wait until all have ended."""
        for process, listener, errors in zip(self._processes, self._listeners, self._errors, strict=True):
            listener.join()
            if process.wait() != 0:
                errors.seek(0)
                last = (errors.read().strip().splitlines() or [f"exit code {process.returncode}"])[-1]
                self.workshop.watcher.say(f"A helping process failed ({last}), so its fits are trained here")

    def end(self) -> None:
        """End those that are still at work."""
        for process, listener, errors in zip(self._processes, self._listeners, self._errors, strict=True):
            process.kill()
            process.wait()
            listener.join()
            for pipe in (process.stdin, process.stdout, errors):
                if pipe is not None:
                    pipe.close()

    def _start(self, seeds: Sequence[int], errors: IO[str]) -> subprocess.Popen[str]:
        told = [str(self.workshop.folder.absolute()), str(torch.get_num_threads()), *map(str, seeds)]
        return subprocess.Popen(  # noqa: S603 (this package, numbers and a folder of ours)
            [sys.executable, "-m", "limbeck.run.some_seeds", *told],
            stdin=subprocess.PIPE,  # closed when this process dies, and then the helper ends, too
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,  # Ctrl-C is for this process, which then closes the pipe
        )

    def _listen(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self._hear(json.loads(line))

    def _hear(self, told: Mapping[str, Any]) -> None:
        """Pass on what a helper says as if it were said here."""
        if "record" in told:
            self.workshop.watcher.record(Record(**told["record"]))
        elif "done" in told:
            model, seed, steps = told["done"]
            for name, count in told["forwards"].items():
                self.workshop.ledger.note(name, count)
            self.workshop.told[model, seed] += 1
            self.workshop.watcher.done(model, seed, steps)
        else:
            self.workshop.ledger.spot_checks += told["spot_checks"]


@contextmanager
def helping(workshop: Workshop, teachers: Mapping[int, Teacher | None]) -> Iterator[Helpers]:
    """Yield the helpers of a run, none where they would be of no use; teachers: by seed, as the fits hear them."""
    helpers = Helpers(workshop, shares_of(workshop, teachers))
    try:
        yield helpers
    finally:
        helpers.end()


def shares_of(workshop: Workshop, teachers: Mapping[int, Teacher | None]) -> list[list[int]]:
    """Return the seeds of this process and of each helper; nothing where there should be no helper.

    There are none on a GPU, beside other ranks, under the profiler, for plans or code that no recipe holds, for large
    data, for fits that use several threads, and for teachers whose answers are in this process's memory alone.
    """
    plan = workshop.plan
    left = [seed for seed in plan.seeds if not _finished(workshop, seed)]
    steps = _steps_of_a_seed(plan)
    count = min(torch.get_num_threads(), len(left))
    while count > 1 and len(left) // count * steps < WORTH_STEPS:
        count -= 1
    if count < 2 or not (_can_be_repeated(workshop) and _hear_the_same(workshop, teachers) and _are_small(workshop)):
        return []
    return [left[number::count] for number in range(count)]


def _finished(workshop: Workshop, seed: int) -> bool:
    """Whether a seed's last fit is there, so that nothing of it is left."""
    plan = workshop.plan
    role = f"controls/{plan.controls[-1]}" if plan.controls else "student"
    return not plan.variants and (workshop.folder / role / "seeds" / str(seed) / FIT).is_file()


def _steps_of_a_seed(plan: Plan) -> int:
    train = len(plan.data.train)
    fits: dict[str, int] = {}
    for one in _points(plan):
        fits |= steps_by_fit(one, {stage.name: stage.settings.total_steps(train) for stage in one.stages})
    return sum(fits.values()) // len(plan.seeds)


def _can_be_repeated(workshop: Workshop) -> bool:
    """Whether another process can make the same plan from the run's recipe, at little cost."""
    plan, inputs = workshop.plan, workshop.pool.inputs
    members = plan.ensemble.members if plan.ensemble is not None else ()
    further = (one.teacher for one in plan.tasks)
    taught = [one for one in (plan.teacher, *(member.model for member in members), *further) if one is not None]
    made = [*_learners(plan), *(one.model for one in taught)]
    terms = any(stage.objective.has_own_terms for one in _points(plan) for stage in one.stages)
    nets = any(one.architecture is None for one in made)
    views = plan.views is not None and plan.views.has_own_transforms
    alone = workshop.device.type == "cpu" and ranks.world() == 1 and workshop.profile is None
    small = inputs.numel() * inputs.element_size() <= DATA_BYTES
    return alone and small and not (terms or nets or views) and not is_python_run(workshop.folder)


def _hear_the_same(workshop: Workshop, teachers: Mapping[int, Teacher | None]) -> bool:
    """Whether a helper reads the same answers: those of a store, of a file, or none."""
    known = all(stage.settings.patience is None for one in _points(workshop.plan) for stage in one.stages)
    recalled = not workshop.plan.teaches_within and all(one is None or one.recalls for one in teachers.values())
    recalled &= all(
        workshop.remembers(stage) for one in _points(workshop.plan) for stage in one.stages if stage.teacher
    )
    return known and recalled and workshop.ledger.mode in (None, "stored")


def _are_small(workshop: Workshop) -> bool:
    """Whether every fit uses one thread."""
    plan = workshop.plan
    inputs = workshop.pool.batch(plan.data.train[:2]).inputs
    fits = [(one, stage) for one in _points(plan) for stage in one.stages]
    works = {made: multiply_adds(plan.model(made, plan.seeds[0]).eval(), inputs) for made in _learners(plan)}
    return all(works[one.learner(stage)] * stage.settings.batch_size < SMALL_STEP for one, stage in fits)


def _learners(plan: Plan) -> list[ModelPlan]:
    """Return every model that learns in some stage."""
    return [one.learner(stage) for one in _points(plan) for stage in one.stages]


def _points(plan: Plan) -> list[Plan]:
    return [variant.plan for variant in points_of(plan)]
