"""Who holds a claim: a process, named so that others beside it can see whether it still lives."""

from __future__ import annotations

import os
import socket
from pathlib import Path


def myself() -> str:
    """Return this process's name as a claimant: where it runs, pid and start time (a pid alone may come back)."""
    return f"{_here()}:{os.getpid()}:{_started(os.getpid())}"


def alive(claimant: str) -> bool | None:
    """Return whether the claimant lives; None when this process cannot know."""
    where, _, process = claimant.partition(":")
    pid, _, started = process.partition(":")
    if where != _here() or not all(where.split("/")) or not pid.isdigit():
        return None
    return bool(started) and _started(int(pid)) == started


def _here() -> str:
    """Return whose pids this process can see: host, boot and pid namespace, the last two empty where the kernel does not tell.

    A host's name is not enough: machines and containers may share one (``localhost``, or the host's own in a container), and each
    would find the other's pid missing, and take the other for dead.
    """
    return f"{socket.gethostname()}/{_boot()}/{_pid_namespace()}"


def _boot() -> str:
    """Return the first part of the number that the kernel draws when it starts."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").partition("-")[0].strip()
    except OSError:
        return ""


def _pid_namespace() -> str:
    try:
        return Path("/proc/self/ns/pid").readlink().name.removeprefix("pid:").strip("[]")
    except OSError:
        return ""


def _started(pid: int) -> str:
    """Return a process's start time in clock ticks since boot; empty when there is no such process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    state, *rest = stat.rpartition(")")[2].split()  # the name before it may hold spaces
    return "" if state in "ZX" else rest[18]
