"""What a step frees is kept for the next one.

The C library gives large pieces of memory back to the system as soon as they are free, and every step then waits for
the system to hand out, and empty, the same pages again.
"""

from __future__ import annotations

import ctypes
import functools
import os
import platform

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # of mallopt(3)
KEPT = 2**31 - 1  # bytes, the most it takes
LARGEST = 32 * 2**20  # bytes of a piece that is kept; the most it takes
OWN_WISHES = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")


@functools.cache
def keep_freed_memory() -> bool:
    """Ask the C library of this process to keep up to 2 GiB of freed memory; return whether it will.

    Only glibc is asked, and not where the environment says what it shall do. The most memory in use stays as it is.
    """
    if platform.libc_ver()[0] != "glibc" or any(name in os.environ for name in OWN_WISHES):
        return False
    library = ctypes.CDLL(None)
    return bool(library.mallopt(TRIM_THRESHOLD, KEPT)) and bool(library.mallopt(MMAP_THRESHOLD, LARGEST))
