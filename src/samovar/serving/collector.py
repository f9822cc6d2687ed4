"""Python's garbage collector in a process that serves: what is loaded stays, what requests make has no cycles."""

from __future__ import annotations

import gc

_YOUNG, _MIDDLE, _OLD = 100_000, 20, 100


def settle() -> None:
    """Leave what exists now out of every collection, and collect seldom; for a process that has loaded all it needs.

    A request of ten thousand rows makes as many tuples. With Python's own thresholds (700 objects) the collector went through all
    of them, and through everything that was ever imported, several times a request, which was half of the time of decoding.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, _MIDDLE, _OLD)
