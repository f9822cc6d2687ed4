"""Python's memory in a process that serves: what is loaded stays, what requests make has no cycles and takes the same room."""

from __future__ import annotations

import contextlib
import ctypes
import gc

_YOUNG, _MIDDLE, _OLD = 100_000, 20, 100

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # names of glibc's <malloc.h>
_FREE_BYTES = 32 * 2**20
_LARGE_BYTES = 16 * 2**20


def settle() -> None:
    """Leave what exists now out of every collection, and collect seldom; for a process that has loaded all it needs.

    A request of ten thousand rows makes as many tuples. With Python's own thresholds (700 objects) the collector went through all
    of them, and through everything that was ever imported, several times a request, which was half of the time of decoding.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, _MIDDLE, _OLD)
    _keep_free_memory()


def _keep_free_memory() -> None:
    """Have glibc keep some free memory for the next request, at most 32 MiB an arena.

    It returns every large block, and what is free above 128 KiB, to the kernel, which clears each page that it gives again: a
    request of ten thousand rows waited a third of its time for that. Other C libraries have no such switch and are left alone.
    """
    with contextlib.suppress(AttributeError, OSError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_TRIM_THRESHOLD, _FREE_BYTES)
        mallopt(_MMAP_THRESHOLD, _LARGE_BYTES)
