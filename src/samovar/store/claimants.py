"""Who holds a claim: a process, named so that others on its host can see whether it still lives."""

from __future__ import annotations

import os
import socket
from pathlib import Path


def myself() -> str:
    """Return this process's name as a claimant: host, pid and start time (a pid alone may come back)."""
    return f"{socket.gethostname()}:{os.getpid()}:{_started(os.getpid())}"


def alive(claimant: str) -> bool | None:
    """Return whether the claimant lives; None when this host cannot know."""
    host, _, process = claimant.partition(":")
    pid, _, started = process.partition(":")
    if host != socket.gethostname() or not pid.isdigit():
        return None
    return bool(started) and _started(int(pid)) == started


def _started(pid: int) -> str:
    """Return a process's start time in clock ticks since boot; empty when there is no such process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    state, *rest = stat.rpartition(")")[2].split()  # the name before it may hold spaces
    return "" if state in "ZX" else rest[18]
