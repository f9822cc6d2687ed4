"""What one process may take of its host: a wall that the kernel keeps, and a look at what was taken.

The wall (``RLIMIT_DATA``) stops a process that allocates faster than anybody looks; it counts what is private and writable, so
neither shared libraries nor the plan in sealed memory. The look finds whoever took more than its limit, also for a moment between
two looks, because the kernel keeps the peak.
"""

from __future__ import annotations

import contextlib
import math
import os
import resource
from pathlib import Path

MEGABYTE = 10**6
_ROOM = 2**30
_PAGE = resource.getpagesize()
WORKER_OOM, BUILDER_OOM = 500, 800
"""Of all processes of the host the kernel ends builders first, then workers, when memory runs out; never the agent before them."""


def host_memory() -> int:
    """Return the bytes that this host, or the container that we run in, has."""
    total = os.sysconf("SC_PHYS_PAGES") * _PAGE
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):
            total = min(total, int(Path(path).read_text(encoding="ascii")))
    return total


def bound(said_mb: float, share: float) -> int:
    """Return a limit in bytes: what was said, else a share of the host's memory; 0 is none.

    Args:
        said_mb: megabytes; 0 when nobody said any.
        share: of the host's memory, 0 to 1; 0 is no limit.
    """
    return int(said_mb * MEGABYTE) or int(share * host_memory())


def excess(limit: int) -> str:
    """Say in one sentence that a process took more than it may."""
    return f"It took more than {limit / MEGABYTE:.0f} MB, which is its limit."


def build_wall(limit: int) -> None:
    """Let this builder take so many bytes more than it has now, and be ended first when the host runs out; 0 is no limit."""
    _expendable(BUILDER_OOM)
    _set_wall(0, limit)


def worker_wall(pid: int, limit: int) -> None:
    """Let a worker take so many bytes and a little more, which leaves time to see that it did; 0 is no limit.

    Args:
        pid: the worker; 0 is the calling process, which is then also ended before others when the host runs out of memory.
        limit: bytes.
    """
    if pid == 0:
        _expendable(WORKER_OOM)
    _set_wall(pid, limit + min(_ROOM, host_memory() // 8) if limit else 0)


def _expendable(score: int) -> None:
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(score), encoding="ascii")


def _set_wall(pid: int, more: int) -> None:
    # Soft only: a limit that is raised later must not need a new process.
    with contextlib.suppress(OSError, ValueError):
        hard = resource.prlimit(pid, resource.RLIMIT_DATA)[1]
        data = _status(pid or os.getpid(), "VmData").get("VmData")
        if data is None:
            return  # it is ending, or a zombie: it has no memory any more
        soft = data + more if more else hard
        resource.prlimit(pid, resource.RLIMIT_DATA, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))


def resident(pid: int) -> int:
    """Return the bytes of a process that are in memory, shared ones too: never less than what it took. 0 when it is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * _PAGE
    except OSError:
        return 0


def peak(pid: int) -> int:
    """Return the largest ``resident`` that a process ever had."""
    return _status(pid, "VmHWM").get("VmHWM", 0)


def forget_peak(pid: int) -> None:
    """Let ``peak`` begin anew; a host that refuses keeps it."""
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")


def unfiled(pid: int) -> int:
    """Return the bytes of a process in memory that are of no file; 0 when it is gone."""
    now = _status(pid, "RssAnon", "RssShmem")
    return now.get("RssAnon", 0) + now.get("RssShmem", 0)


def taken(pid: int, inherited: int = 0) -> int:
    """Return the bytes that a process took for itself alone, at its worst moment since ``forget_peak``; 0 when it is gone.

    Args:
        pid: the process.
        inherited: its ``unfiled`` right after its birth. They are its parent's too, but count as its own once the parent is gone.
    """
    now = _status(pid, "VmHWM", "VmRSS")
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    except OSError:
        return 0
    private = sum(int(line.split()[1]) * 1024 for line in rollup.splitlines() if line.startswith("Private_"))
    # What it had at its peak and has no more was its own: shared pages stay, and files' pages are taken back seldom.
    return min(private, max(0, unfiled(pid) - inherited)) + max(0, now.get("VmHWM", 0) - now.get("VmRSS", 0))


def _status(pid: int, *names: str) -> dict[str, int]:
    """Return fields of ``/proc/<pid>/status`` in bytes; nothing when the process is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    return {name: int(value.split()[0]) * 1024 for name, _, value in (line.partition(":") for line in lines) if name in names}


def cores(cpus: float | None, seat: int) -> set[int]:
    """Choose the cores of an endpoint that may use ``cpus`` of them: whole ones, rounded up, elsewhere for another ``seat``.

    Returns:
        Cores of those that this process may use; all of them when there is no limit.
    """
    ours = sorted(os.sched_getaffinity(0))
    count = len(ours) if not cpus else min(len(ours), math.ceil(cpus))
    return {ours[(seat + number) % len(ours)] for number in range(count)}


def cpu_remarks(cpus: float | None) -> tuple[str, ...]:
    """Say where ``cores`` gives more than was said, since a process can be kept on cores but not on a part of one."""
    if not cpus or cpus == int(cpus):
        return ()
    return (f"{cpus:g} cores are held as {math.ceil(cpus)} whole ones: worker processes are kept on cores, not on parts of them.",)


def confine(pid: int, chosen: set[int]) -> None:
    """Let a process and its threads run on these cores only."""
    with contextlib.suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(OSError):
                os.sched_setaffinity(int(thread.name), chosen)


def raise_files() -> None:
    """Allow this process and its children as many open files as the host lets it: an endpoint holds several."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
