"""Keeps a zygote alive, always or while there is work for it, and asks it for workers and builders."""

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
    """Makes processes through a zygote; a worker asked of a zygote that died is asked of the next one.

    Args:
        loop: the agent's loop.
        config: goes to the zygote.
        on_forked: called with a worker's token, its pid and its pidfd.
        needed: whether the zygote must be there although nothing is asked of it now. When it says no, the zygote ends after
            ``config.idle_seconds`` without work, and the next order starts another.
        python: interpreter of the zygote, and so of all that it makes.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        config: AgentConfig,
        on_forked: Callable[[str, int, int], None],
        needed: Callable[[], bool],
        python: str = sys.executable,
    ) -> None:
        self._loop = loop
        self._config = config
        self._on_forked = on_forked
        self._python = python
        self._needed = needed
        self._open: dict[str, tuple[protocol.Fork, list[int]]] = {}
        self._ordered = 0  # builds that the zygote has not begun
        self._builders: set[int] = set()  # pidfds
        self._process: subprocess.Popen[bytes] | None = None
        self._peer: Peer | None = None
        self._deaths = 0
        self._pause: asyncio.TimerHandle | None = None
        self._idle: asyncio.TimerHandle | None = None
        self._patience: asyncio.TimerHandle | None = None
        self._ready = False
        self._hung = False  # whether the last zygote hung while it imported
        self._closed = False

    @property
    def pid(self) -> int:
        """The zygote's process, 0 when there is none."""
        return self._process.pid if self._process is not None else 0

    def start(self) -> None:
        """Have a zygote: it takes orders at once and obeys when it has imported everything. One that just died waits its pause."""
        if self._peer is None and self._pause is None and not self._closed:
            self._start()

    def fork(self, order: protocol.Fork, fds: list[int]) -> None:
        """Ask for a worker; the descriptors are duplicated.

        Raises:
            OSError: the descriptors cannot be duplicated; nothing was asked.
        """
        self._open[order.identity.token] = (order, transport.duplicate(fds))
        if self._peer is None:
            self.start()  # which sends all that is open
        else:
            try:
                self._peer.send(order, fds)
            except OSError:
                self.settle(order.identity.token)
                raise
        self._expect()

    def build(self, order: protocol.Build, fds: list[int]) -> bool:
        """Hand an order for a build on; False while there is no zygote."""
        self.start()
        peer = self._peer
        if peer is None:
            return False
        self._ordered += 1
        peer.send(order, fds)
        if peer.closed:  # the zygote was dead, which only the sending showed
            return False
        self._expect()
        return True

    def settle(self, token: str) -> None:
        """Note that a worker exists, however that became known."""
        _, fds = self._open.pop(token, (None, []))
        transport.close_all(fds)
        self._rest()

    def close(self) -> None:
        """End the zygote."""
        self._closed = True
        for token in list(self._open):
            self.settle(token)
        for timer in (self._idle, self._pause, self._patience):
            if timer is not None:
                timer.cancel()
        for pidfd in list(self._builders):
            self._built(pidfd)
        self._end()

    def _start(self) -> None:
        self._pause = None
        try:
            self._launch()
        except OSError as error:  # no descriptor, no process, no memory left: what is asked for waits for a better moment
            log.warning("no zygote can be made", zygote=self._config.zygote_name, error=error.strerror)
            self._end()
            self._again()

    def _launch(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            try:
                self._process = self._spawned(theirs)
            except OSError:
                ours.close()
                raise
        peer = self._peer = Peer(self._loop, ours, self._on_message, self._on_close)
        self._ready = False
        for order, fds in self._open.values():
            peer.send(order, fds)
        self._expect()
        self._rest()

    def _spawned(self, theirs: socket.socket) -> subprocess.Popen[bytes]:
        os.set_inheritable(theirs.fileno(), True)
        # The last argument is room: a worker writes its title over the command line it inherits.
        command = [self._python, "-m", "samovar.autoserve.agent.zygote", self._config.run_dir, "-" * 80]
        environment = worker_environment(os.environ)
        # Its own session: Ctrl-C in the terminal is for the program in front, not for endpoints.
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, pass_fds=[theirs.fileno()], env=environment, start_new_session=True
        )
        # What hangs when it is imported for all must not keep all from serving: each worker then imports what it needs itself.
        preload = () if self._hung else self._config.preload
        config = msgspec.structs.replace(self._config, zygote_fd=theirs.fileno(), preload=preload)
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(msgspec.json.encode(config))
            process.stdin.close()
        return process

    def _expect(self) -> None:
        """Begin to wait anew for a sign of the zygote, if it owes one."""
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        if self._peer is not None and (not self._ready or self._open or self._ordered):
            self._patience = self._loop.call_later(self._config.load_seconds / 2, self._lose_patience)

    def _lose_patience(self) -> None:
        self._hung = not self._ready
        log.warning("the zygote hangs and is ended", zygote=self._config.zygote_name, importing=self._hung)
        if self._process is not None:
            self._process.kill()  # its line is cut, and another one is started

    def _on_message(self, _: Peer, message: protocol.Message, fds: list[int]) -> None:
        self._ready = True
        self._loop.call_soon(self._expect)  # when what is said was noted
        if not isinstance(message, protocol.Forked) or len(fds) != 1:
            transport.close_all(fds)
            return
        self._deaths = 0
        if message.token:
            self.settle(message.token)
            self._on_forked(message.token, message.pid, fds[0])
            return
        self._ordered -= 1
        self._builders.add(fds[0])
        self._loop.add_reader(fds[0], self._built, fds[0])

    def _built(self, pidfd: int) -> None:
        """Note that a builder is gone."""
        self._builders.discard(pidfd)
        self._loop.remove_reader(pidfd)
        os.close(pidfd)
        self._rest()

    def _busy(self) -> bool:
        return bool(self._open or self._ordered or self._builders)

    def _rest(self) -> None:
        """Begin to count idle time anew, if this is idleness."""
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        if self._peer is not None and not self._busy() and not self._closed:
            self._idle = self._loop.call_later(self._config.idle_seconds, self._end_idle)

    def _end_idle(self) -> None:
        if self._needed():
            self._rest()
        elif not self._busy():
            log.info("the zygote has nothing to do and ends", zygote=self._config.zygote_name)
            self._end()

    def _end(self) -> None:
        peer, self._peer = self._peer, None
        if peer is not None:
            peer.close()
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def _on_close(self, peer: Peer) -> None:
        if peer is not self._peer:
            return  # we hung up ourselves
        self._end()
        self._again()

    def _again(self) -> None:
        """Start another zygote after a pause, if there is need of one."""
        self._ordered = 0
        if self._closed or not (self._open or self._needed()):
            return
        delay = RESPAWN.delay(self._deaths)
        self._deaths += 1
        log.warning("there is no zygote; starting another", zygote=self._config.zygote_name, delay=delay)
        self._pause = self._loop.call_later(delay, self._start)
