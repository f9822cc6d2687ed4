"""Worker processes as the agent holds them: by pidfd, whether it is their forebear or adopted them."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import time
from typing import TYPE_CHECKING

import msgspec

from samovar.autoserve import protocol
from samovar.autoserve.agent.ledger import write_atomically
from samovar.autoserve.agent.titles import start_time
from samovar.autoserve.tuning import PLAIN

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from pathlib import Path

    from samovar.autoserve.agent.endpoint import Endpoint
    from samovar.autoserve.agent.peer import Peer
    from samovar.autoserve.tuning import Tuning


def new_token() -> str:
    """Return a name for a new worker."""
    return secrets.token_hex(8)


class WorkerProcess:
    """One worker. Born without a process, which the zygote makes in a moment.

    Args:
        identity: who it is.
        endpoint: where it belongs; None when it only leaves.
        drain_seconds: longest time it may take to leave.
        loop: the agent's loop.
        on_gone: called once when its process has ended.
    """

    def __init__(
        self,
        identity: protocol.Identity,
        endpoint: Endpoint | None,
        drain_seconds: float,
        loop: asyncio.AbstractEventLoop,
        on_gone: Callable[[WorkerProcess], None],
    ) -> None:
        self.identity = identity
        self.endpoint = endpoint
        self.pid = 0
        self.pidfd = -1
        self.peer: Peer | None = None
        self.state: protocol.WorkerState = "loading"
        self.reason = ""
        self.unreadable = False
        self.host_fault = False
        self.started = time.monotonic()
        self.heard = 0.0  # when its event loop last gave a sign of life; 0.0 when it never did
        self._drain_seconds = drain_seconds
        self._loop = loop
        self._on_gone = on_gone
        self.keys = ""  # digest of the keys that it knows
        self.inherited = 0  # bytes that it shared with its zygote at its birth
        self.limit = 0  # bytes that it may take; 0 is no limit
        self.asked = False  # whether a zygote was told to make it
        self.tuning = endpoint.tuning if endpoint is not None else PLAIN
        self._start_time: int | None = None
        self._told = self._killed = self.gone = False

    def born(self, pid: int, pidfd: int | None = None) -> None:
        """Learn the process; called by the zygote's answer or the worker's greeting, whichever comes first."""
        if self.pidfd >= 0 or self.gone:
            if pidfd is not None:
                os.close(pidfd)
            return
        try:
            self.pidfd = os.pidfd_open(pid) if pidfd is None else pidfd
        except ProcessLookupError:
            self._gone()
            return
        self.pid = pid
        self._start_time = start_time(pid)
        self._loop.add_reader(self.pidfd, self._gone)
        if self._killed:
            self.kill()
        elif self._told:
            self.drain()

    def drain(self) -> None:
        """Ask it to leave, and kill it when it takes longer than it may."""
        self._told = True
        if not self.pid and not self.asked:
            self.kill()  # nobody was told to make it
            return
        if self.peer is not None:
            self.peer.send(protocol.Drain())
        if self.pid:
            # A margin: the worker keeps its own deadline and closes what is left in order.
            self._loop.call_later(self._drain_seconds + 2.0, self.kill)

    def greet(self, peer: Peer, hello: protocol.Hello) -> None:
        """Learn its line; what it has not heard yet is told now."""
        self.peer = peer
        peer.owner = self
        self.heard = time.monotonic() if hello.beats else 0.0
        self.keys = hello.keys
        self.inherited = hello.inherited
        if self.tuning != hello.tuning:
            self.tune(self.tuning)
        if self._told:
            peer.send(protocol.Drain())

    def tune(self, tuning: Tuning) -> None:
        """Have it serve in another way; one that has not called yet is told when it does."""
        self.tuning = tuning
        if self.peer is not None:
            self.peer.send(protocol.Tune(self.identity.model, self.identity.alias, tuning))

    @property
    def known(self) -> KnownProcess | None:
        """What the next agent must know of it; None while it has no process."""
        return KnownProcess(self.pid, self._start_time) if self.pid and self._start_time is not None else None

    @property
    def ending(self) -> bool:
        """Whether it was killed."""
        return self._killed

    def end(self, reason: str) -> None:
        """End it now, and say why."""
        self.reason = reason
        self.kill()

    def kill(self) -> None:
        """End it now; one that has no process yet is gone at once, and killed if it ever comes to be."""
        self._killed = True
        if self.gone:
            return
        if self.pidfd < 0:
            self._gone()
            return
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)

    def _gone(self) -> None:
        if self.gone:
            return
        if self.peer is not None:
            self.peer.read()  # its last words may say why
            self.peer.close()
        self.gone = True
        if self.pidfd >= 0:
            self._loop.remove_reader(self.pidfd)
            os.close(self.pidfd)
            self.pidfd = -1
        self._on_gone(self)


class KnownProcess(msgspec.Struct, frozen=True):
    """A worker's process as written down for the next agent."""

    pid: int
    start: int

    @property
    def alive(self) -> bool:
        """Whether exactly this process still runs."""
        return start_time(self.pid) == self.start

    def kill(self) -> None:
        """End exactly this process, if it still runs."""
        try:
            pidfd = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return
        if self.alive:  # asked after the descriptor was opened, which then can be no other's
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        os.close(pidfd)


def write_known(path: Path, known: list[KnownProcess]) -> None:
    """Write down which workers run, so that the next agent knows whom to wait for."""
    write_atomically(path, msgspec.json.encode(known), durable=False)


def read_known(path: Path) -> list[KnownProcess]:
    """Return the workers of an earlier agent that still run."""
    try:
        known = msgspec.json.decode(path.read_bytes(), type=list[KnownProcess])
    except (OSError, msgspec.DecodeError):
        return []
    return [process for process in known if process.alive]
