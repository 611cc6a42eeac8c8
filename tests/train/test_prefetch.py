"""Batches made ahead are those made in turn, in the loop and out of it."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from limbeck.data.dataset import Data
from limbeck.data.samples import Samples
from limbeck.data.views import Flip, Shift, Views
from limbeck.models import MLP
from limbeck.models.adapt import Adapted
from limbeck.objectives.cross_entropy import CrossEntropy
from limbeck.objectives.objective import Objective
from limbeck.train.loop import Budget, Lesson, fit
from limbeck.train.prefetch import AHEAD, ahead
from limbeck.train.settings import Settings


@pytest.mark.parametrize("threaded", [False, True])
def test_all_steps_come_in_their_order(threaded: bool) -> None:
    assert list(ahead(range(3, 20), lambda step: step**2, threaded=threaded)) == [step**2 for step in range(3, 20)]
    assert list(ahead(range(0), lambda step: step, threaded=threaded)) == []


def test_a_thread_is_ahead_but_not_far() -> None:
    made: list[int] = []
    steps = ahead(range(100), lambda step: made.append(step) or threading.current_thread().name, threaded=True)
    assert next(steps).startswith("prefetch")
    time.sleep(0.2)
    assert len(made) == AHEAD + 1
    steps.close()
    assert len(made) <= AHEAD + 1
    assert not any(thread.name.startswith("prefetch") for thread in threading.enumerate())


@pytest.mark.parametrize("threaded", [False, True])
def test_what_goes_wrong_comes_at_its_step(threaded: bool) -> None:
    steps = ahead(range(5), lambda step: 1 // (3 - step), threaded=threaded)
    assert [next(steps) for _ in range(3)] == [0, 0, 1]
    with pytest.raises(ZeroDivisionError):
        next(steps)


def test_a_fit_from_a_mapped_file_equals_one_from_memory(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    np.save(tmp_path / "x.npy", random.integers(0, 256, (90, 1, 6, 6), dtype=np.uint8))
    np.save(tmp_path / "y.npy", random.integers(0, 3, 90))
    pool = Data.open(f"npy:{tmp_path}").pool
    assert pool.mapped is not None
    results = []
    for samples in (pool, Samples(pool.inputs.clone(), pool.labels, pool.ids)):
        rows = torch.arange(len(samples))
        lesson = Lesson(samples, rows[:50], rows[50:], samples.labels, Views([Shift(1), Flip()]))
        torch.manual_seed(0)
        model = Adapted(MLP((1, 6, 6), 3, hidden=[5]), classes=3)
        fit(model, Objective([(1.0, CrossEntropy())]), lesson, Settings(steps=9, batch_size=16), Budget(9, 4))
        results.append(torch.cat([value.flatten() for value in model.net.state_dict().values()]))
    assert torch.equal(*results)
