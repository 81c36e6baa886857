"""How the C library hands memory back to the system."""

from __future__ import annotations

import ctypes
from contextlib import suppress

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # numbers of glibc's mallopt(3)


def keep_freed_memory() -> None:
    """Have glibc reuse large blocks instead of returning each to the kernel, which clears it anew every iteration.

    It takes a fifth off the seconds of a map (`python -m benchmarks.overhead`). Programs call it, the library never
    does: how a process allocates is its owner's decision. Elsewhere than on glibc nothing happens.
    """
    with suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL("libc.so.6").mallopt
        mallopt(M_MMAP_THRESHOLD, 1 << 30)
        mallopt(M_TRIM_THRESHOLD, (1 << 31) - 1)
