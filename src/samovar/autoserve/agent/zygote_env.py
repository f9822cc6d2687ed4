"""Environment of the zygote and, by inheritance, of all workers."""

from __future__ import annotations

ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
    "BLIS_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "2",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",  # pandas imports pyarrow, whose allocator would start a thread
}
"""Threads made before a fork are dead after it, and one row never pays for a second one."""
