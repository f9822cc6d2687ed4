"""Keeps one zygote alive and asks it for workers."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import msgspec

from samovar.autoserve import protocol, transport
from samovar.autoserve.agent.environment import worker_environment
from samovar.autoserve.agent.peer import Peer
from samovar.autoserve.backoff import Backoff
from samovar.logs import get_logger

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from samovar.autoserve.agent.config import AgentConfig

log = get_logger(__name__)

RESPAWN = Backoff(first=0.1, longest=5.0)
"""Pauses between zygotes that keep dying."""


class Nursery:
    """Makes workers through the zygote; what was asked of a zygote that died is asked of the next one.

    Args:
        loop: the agent's loop.
        config: goes to the zygote.
        on_forked: called with a worker's token, its pid and its pidfd.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, config: AgentConfig, on_forked: Callable[[str, int, int], None]) -> None:
        self._loop = loop
        self._config = config
        self._on_forked = on_forked
        self._open: dict[str, tuple[protocol.Identity, list[int]]] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._peer: Peer | None = None
        self._deaths = 0
        self._closed = False

    @property
    def pid(self) -> int:
        """The zygote's process, 0 when there is none."""
        return self._process.pid if self._process is not None else 0

    def start(self) -> None:
        """Start a zygote; it takes requests at once and answers when it has imported everything."""
        if self._closed:
            return
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        os.set_inheritable(theirs.fileno(), True)
        # The last argument is room: a worker writes its title over the command line it inherits.
        command = [sys.executable, "-m", "samovar.autoserve.agent.zygote", self._config.run_dir, "-" * 80]
        environment = worker_environment(os.environ)
        # Its own session: Ctrl-C in the terminal is for the program in front, not for endpoints.
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, pass_fds=[theirs.fileno()], env=environment, start_new_session=True
        )
        config = msgspec.structs.replace(self._config, zygote_fd=theirs.fileno())
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(msgspec.json.encode(config))
            self._process.stdin.close()
        theirs.close()
        self._peer = Peer(self._loop, ours, self._on_message, self._on_close)
        for identity, fds in self._open.values():
            self._peer.send(protocol.Fork(identity), fds)

    def fork(self, identity: protocol.Identity, fds: list[int]) -> None:
        """Ask for a worker; the descriptors are duplicated."""
        self._open[identity.token] = (identity, [os.dup(fd) for fd in fds])
        if self._peer is not None:
            self._peer.send(protocol.Fork(identity), fds)

    def build(self, order: protocol.Build, fds: list[int]) -> bool:
        """Hand an order for a build on; False while there is no zygote."""
        if self._peer is None:
            return False
        self._peer.send(order, fds)
        return True

    def settle(self, token: str) -> None:
        """Note that a worker exists, however that became known."""
        _, fds = self._open.pop(token, (None, []))
        transport.close_all(fds)

    def close(self) -> None:
        """End the zygote."""
        self._closed = True
        for token in list(self._open):
            self.settle(token)
        if self._peer is not None:
            self._peer.close()
        self._bury()

    def _on_message(self, _: Peer, message: protocol.Message, fds: list[int]) -> None:
        if not isinstance(message, protocol.Forked) or len(fds) != 1:
            transport.close_all(fds)
            return
        self._deaths = 0
        self.settle(message.token)
        self._on_forked(message.token, message.pid, fds[0])

    def _on_close(self, _: Peer) -> None:
        self._peer = None
        if self._closed:
            return
        self._bury()
        delay = RESPAWN.delay(self._deaths)
        self._deaths += 1
        log.warning("the zygote died; starting another", delay=delay)
        self._loop.call_later(delay, self.start)

    def _bury(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
