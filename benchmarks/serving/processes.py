"""Process trees as the kernel counts them: CPU seconds, memory, cores. Linux only."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Cores:
    """Who runs where: what is measured on one core, everything else on the other."""

    server: frozenset[int]
    load: frozenset[int]


def cores() -> Cores:
    """Choose two cores of those this process may use; with only one, both are that one and the figures say so."""
    usable = sorted(os.sched_getaffinity(0))
    return Cores(frozenset(usable[:1]), frozenset(usable[1:2] or usable[:1]))


def pinned(core: frozenset[int]) -> list[str]:
    """Return what to put before a command so that it and its children stay on a core."""
    return ["taskset", "--cpu-list", ",".join(map(str, sorted(core)))]


def stat(text: str) -> tuple[int, float]:
    """Read ``/proc/PID/stat``: the parent, and CPU seconds of the process and of its children that ended."""
    fields = text.rpartition(")")[2].split()  # a command's name may hold spaces and brackets
    return int(fields[1]), sum(map(int, fields[11:15])) / _TICKS


def table() -> dict[int, tuple[int, float]]:
    """Return parent and CPU seconds of every process."""
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError, ValueError):
                found[int(folder.name)] = stat((folder / "stat").read_text())
    return found


def tree(roots: Iterable[int], parents: dict[int, int]) -> set[int]:
    """Return some processes and all that descend from them."""
    found = set(roots) & parents.keys()
    grew = set(found)
    while grew:
        grew = {pid for pid, parent in parents.items() if parent in grew} - found
        found |= grew
    return found


def of_home(home: str) -> set[int]:
    """Return the processes whose environment or command line names a folder."""
    found = set()
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                if any(home.encode() in (folder / name).read_bytes() for name in ("environ", "cmdline")):
                    found.add(int(folder.name))
    return found


def cpu(pids: Iterable[int]) -> float:
    """Return the CPU seconds that some processes, and children of theirs that ended, have used so far."""
    total = 0.0
    for pid in pids:
        with contextlib.suppress(OSError, ValueError):
            total += stat(Path(f"/proc/{pid}/stat").read_text())[1]
    return total


def pss_mb(pid: int) -> float:
    """Return the proportional set size of one process in megabytes (10^6 bytes); 0 when it is gone."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024 / 1e6
    return 0.0


def command(pid: int) -> str:
    """Return a process's command line."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def pin(pids: Iterable[int], to: frozenset[int]) -> None:
    """Move every thread of some processes to a core."""
    for pid in pids:
        with contextlib.suppress(OSError):
            for thread in Path(f"/proc/{pid}/task").iterdir():
                with contextlib.suppress(OSError):
                    os.sched_setaffinity(int(thread.name), to)


def quiet(pids: Iterable[int], *, limit: float, interval: float = 0.2, share: float = 0.1) -> bool:
    """Wait until some processes use less than ``share`` of a core; False when they did not within ``limit`` seconds."""
    pids, deadline = set(pids), time.monotonic() + limit
    before = cpu(pids)
    while time.monotonic() < deadline:
        time.sleep(interval)
        now = cpu(pids)
        if now - before <= max(share * interval, 1.5 / _TICKS):
            return True
        before = now
    return False
