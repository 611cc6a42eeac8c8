"""Memory that a step frees stays with the process."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource, sys
import torch
from limbeck.train.allocation import keep_freed_memory
torch.set_num_threads(1)
if sys.argv[1] == "kept":
    assert keep_freed_memory()
def step():
    pieces = [torch.zeros(2**20) for _ in range(24)]  # 96 MiB in all
    del pieces
for _ in range(3):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is asked")
def test_pages_are_not_asked_for_again_in_every_step() -> None:
    """Without being asked the C library gives pages back or not, as the heap happens to lie; here it always does."""

    def faults(how: str, **wishes: str) -> int:
        run = subprocess.run(
            [sys.executable, "-c", FAULTS, how], capture_output=True, check=True, text=True, env=os.environ | wishes
        )
        return int(run.stdout)

    assert faults("usual", MALLOC_MMAP_THRESHOLD_=str(2**20)) > 10_000
    assert max(faults("kept") for _ in range(2)) < 200


def test_wishes_of_the_environment_are_heeded(monkeypatch: pytest.MonkeyPatch) -> None:
    import limbeck.train.allocation as allocation

    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "1000000")
    assert not allocation.keep_freed_memory.__wrapped__()
    monkeypatch.delenv("MALLOC_TRIM_THRESHOLD_")
    monkeypatch.setattr("platform.libc_ver", lambda: ("", ""))
    assert not allocation.keep_freed_memory.__wrapped__()
