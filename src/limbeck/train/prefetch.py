"""Batches made ahead by a thread, for samples that are read from a disk while the step before them is computed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Made = TypeVar("Made")

AHEAD = 2


def ahead(steps: range, make: Callable[[int], Made], *, threaded: bool) -> Iterator[Made]:
    """Yield make(step) for each step in turn; threaded: up to two of them are made by a thread before they are wanted.

    Steps are made one after the other in their order either way, so what comes out is the same. What make raises is
    raised where its step would have come.
    """
    if not threaded:
        yield from map(make, steps)
        return
    pool = ThreadPoolExecutor(1, thread_name_prefix="prefetch")
    waiting: deque[Future[Made]] = deque()
    try:
        for step in steps:
            waiting.append(pool.submit(make, step))
            if len(waiting) > AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
