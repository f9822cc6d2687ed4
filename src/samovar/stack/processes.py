"""Processes told apart for certain: a pid beside its start time, so that a reused pid is never taken for the old process.

Every process of a stack carries ``SAMOVAR_STACK`` (which stack) and ``SAMOVAR_SERVICE`` (which service of it) in its environment.
Children inherit both, so that what a killed parent left behind can still be found.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

STACK_MARK = "SAMOVAR_STACK"
SERVICE_MARK = "SAMOVAR_SERVICE"

_PROC = Path("/proc")
_PR_SET_CHILD_SUBREAPER = 36
_POLL_SECONDS = 0.02


class Identity(msgspec.Struct, frozen=True):
    """One process for certain.

    Attributes:
        pid: its process id.
        started: its start, in clock ticks since the boot (field 22 of ``/proc/PID/stat``).
    """

    pid: int
    started: int

    @property
    def alive(self) -> bool:
        """Whether this very process runs; a zombie does not."""
        found = _stat(self.pid)
        return found is not None and found == (True, self.started)

    @property
    def age(self) -> float:
        """Seconds since its start."""
        return time.clock_gettime(time.CLOCK_BOOTTIME) - self.started / os.sysconf("SC_CLK_TCK")

    def open(self) -> int | None:
        """Return a pidfd (readable once the process has ended), None when the process is gone already."""
        try:
            descriptor = os.pidfd_open(self.pid)
        except OSError:
            return None
        if self.alive:  # checked after the descriptor pins the process, so that the answer is about what the descriptor names
            return descriptor
        os.close(descriptor)
        return None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to this very process; nothing happens when it is gone."""
        descriptor = self.open()
        if descriptor is None:
            return
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(descriptor, number)
        os.close(descriptor)


def identify(pid: int) -> Identity | None:
    """Return who runs as ``pid`` now; None when nobody does."""
    found = _stat(pid)
    return Identity(pid, found[1]) if found is not None and found[0] else None


def me() -> Identity:
    """Identity of the calling process."""
    found = identify(os.getpid())
    assert found is not None
    return found


@functools.cache
def boot_id() -> str:
    """Names this boot of the machine: pids and start times of another boot mean nothing."""
    return (_PROC / "sys/kernel/random/boot_id").read_text().strip()


def become_subreaper() -> None:
    """Make orphaned descendants this process's children, so that it can reap them."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def spawn(argv: Iterable[str], env: dict[str, str], log: Path) -> Identity:
    """Start a program in a session of its own, its output appended to ``log``.

    Raises:
        OSError: the program cannot be started.
    """
    words = list(argv)
    output = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    pid = os.posix_spawn(
        words[0],
        words,
        env,
        setsid=True,
        setsigmask=(),
        setsigdef=(signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE),
        file_actions=(
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), output, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ),
    )
    found = _stat(pid)
    assert found is not None  # a child that was not waited for keeps its entry
    return Identity(pid, found[1])


def reap(pid: int) -> str | None:
    """Collect a child that ended and say how; None when it runs, or is no child of this process."""
    try:
        done, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return None
    if done == 0:
        return None
    code = os.waitstatus_to_exitcode(status)
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def reap_strays(known: Iterable[int]) -> None:
    """Collect ended children that were inherited as orphans: every ended child outside of ``known``."""
    keep = set(known)
    for pid in _pids():
        if pid not in keep and _parent(pid) == os.getpid():
            reap(pid)


def marked(stack: str) -> dict[Identity, str]:
    """Return the running processes of a stack, each with the name of its service."""
    found = {}
    mark = f"{STACK_MARK}={stack}".encode()
    for pid in _pids():
        identity = identify(pid)
        words = _words(pid, "environ")
        if identity is None or mark not in words:
            continue
        prefix = f"{SERVICE_MARK}=".encode()
        found[identity] = next((word[len(prefix) :].decode() for word in words if word.startswith(prefix)), "")
    return found


def leads(pid: int, commands: Iterable[tuple[str, ...]]) -> bool:
    """Whether the process leads a session and runs one of the command lines."""
    try:
        leader = os.getsid(pid) == pid
    except ProcessLookupError:
        return False
    return leader and tuple(word.decode(errors="replace") for word in _words(pid, "cmdline")) in commands


def kill_group(leader: Identity, stack: str) -> None:
    """Kill what is left of the process group that ``leader`` led.

    While the leader has an entry, as a process or a zombie, nobody else can have its number. Afterwards only members that carry
    the stack's mark are touched.
    """
    found = _stat(leader.pid)
    if found is not None and found[1] == leader.started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(leader.pid, signal.SIGKILL)
        return
    for one in marked(stack):
        with contextlib.suppress(ProcessLookupError):
            if os.getpgid(one.pid) == leader.pid:
                one.signal(signal.SIGKILL)


def wait_gone(identities: Iterable[Identity], seconds: float) -> list[Identity]:
    """Wait until the processes have ended; return those that have not."""
    deadline = time.monotonic() + seconds
    left = [one for one in identities if one.alive]
    while left and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
        left = [one for one in left if one.alive]
    return left


def _pids() -> Iterator[int]:
    return (int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit())


def _words(pid: int, name: str) -> list[bytes]:
    try:
        return (_PROC / str(pid) / name).read_bytes().rstrip(b"\0").split(b"\0")
    except OSError:
        return []


def _stat_fields(pid: int) -> list[bytes] | None:
    try:
        text = (_PROC / str(pid) / "stat").read_bytes()
    except OSError:
        return None
    return text[text.rindex(b")") + 2 :].split()  # the command in parentheses may hold spaces and parentheses


def _stat(pid: int) -> tuple[bool, int] | None:
    """Return (running, start time) of a pid; None when there is no such process."""
    fields = _stat_fields(pid)
    return None if fields is None else (fields[0] not in (b"Z", b"X"), int(fields[19]))


def _parent(pid: int) -> int | None:
    fields = _stat_fields(pid)
    return None if fields is None else int(fields[1])
