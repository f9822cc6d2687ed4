"""Sealed memory files: a model's plan that lives in memory, is shared by descriptor, and that nobody can change."""

from __future__ import annotations

import fcntl
import mmap
import os

_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


def seal(data: bytes, *, name: str) -> int:
    """Put ``data`` into a new sealed memory file and return its descriptor, which the caller owns.

    Args:
        data: content.
        name: shown in ``/proc/<pid>/fd``, for people.
    """
    fd = os.memfd_create(f"samovar-{name}"[:200], os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
    except OSError:
        os.close(fd)
        raise
    return fd


def is_sealed(fd: int) -> bool:
    """Whether the descriptor is a memory file that can no longer change."""
    try:
        return fcntl.fcntl(fd, fcntl.F_GET_SEALS) & _SEALS == _SEALS
    except OSError:
        return False


def read(fd: int) -> bytes:
    """Return the content; the descriptor's position is shared by all holders, so it is neither used nor moved."""
    size = os.fstat(fd).st_size
    if size == 0:
        return b""
    with mmap.mmap(fd, size, access=mmap.ACCESS_READ) as view:
        return view[:]
