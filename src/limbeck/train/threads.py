"""How many processor threads a fit uses.

A step of a tiny model is over before a second thread has woken up, and waiting for it costs most where other
programs want the processor too. The choice depends on the model and the batch alone, so a resumed fit makes it again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

SMALL_STEP = 32_000_000  # multiply-adds of a forward pass of the whole batch; measured by benchmarks/threads.py


@contextlib.contextmanager
def fitting_threads(work: int, device: torch.device) -> Iterator[int]:
    """Use one thread while the work of a step (multiply-adds) is small, and put the number back after.

    Yields the number in use. On other devices than a CPU nothing changes.
    """
    before = torch.get_num_threads()
    if device.type == "cpu" and work < SMALL_STEP:
        torch.set_num_threads(1)
    try:
        yield torch.get_num_threads()
    finally:
        torch.set_num_threads(before)
