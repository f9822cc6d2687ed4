"""Names of processes as a person sees them in ``ps`` and ``top``."""

from __future__ import annotations

import contextlib
import ctypes
from pathlib import Path

_PR_SET_NAME = 15
_ARG_START, _ARG_END = 48, 49  # fields of /proc/<pid>/stat, proc(5)
_START_TIME = 22
_AFTER_NAME = 3  # the name, field 2, may hold spaces; what follows it starts with field 3


def set_title(title: str) -> None:
    """Name this process ``title``; the short name is cut to 15 bytes, the command line to the room it had.

    Linux shows what stands in the memory of ``argv``, so it is overwritten in place. Where that is not possible the old name stays.
    """
    with contextlib.suppress(OSError, ValueError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_NAME, title.encode()[:15], 0, 0, 0)
        stat = Path("/proc/self/stat").read_text(encoding="ascii", errors="replace")
        fields = stat.rpartition(")")[2].split()
        start, end = int(fields[_ARG_START - _AFTER_NAME]), int(fields[_ARG_END - _AFTER_NAME])
        room = end - start
        if room > 1:
            ctypes.memmove(start, title.encode()[: room - 1].ljust(room, b"\0"), room)


def start_time(pid: int) -> int | None:
    """Return when a process started, in clock ticks since boot; None when it is gone or a zombie.

    A pid together with its start time names a process for good: pids are used again.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[_START_TIME - _AFTER_NAME])
