"""One connected socket in the agent's event loop."""

from __future__ import annotations

import collections
import contextlib
from typing import TYPE_CHECKING

import msgspec

from samovar.autoserve import protocol, transport
from samovar.logs import get_logger

if TYPE_CHECKING:
    import asyncio
    import socket
    from collections.abc import Callable, Sequence

    from samovar.autoserve.agent.workers import WorkerProcess

log = get_logger(__name__)


class Peer:
    """Reads messages as they come, writes them as the other side takes them, and never blocks the loop.

    Args:
        loop: the agent's loop.
        sock: a connected socket; the peer owns it.
        on_message: called with the peer, a message and its descriptors, which the callee then owns.
        on_close: called once when the other side left.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        on_message: Callable[[Peer, protocol.Message, list[int]], None],
        on_close: Callable[[Peer], None],
    ) -> None:
        self._loop = loop
        self._sock = sock
        self._on_message = on_message
        self._on_close = on_close
        self._queue: collections.deque[tuple[bytes, list[int]]] = collections.deque()
        self.closed = False
        self.owner: WorkerProcess | None = None  # the worker whose line it is
        self.pid, self.uid = transport.peer(sock)
        sock.setblocking(False)
        loop.add_reader(sock, self.read)

    def read(self) -> None:
        """Take in everything that has arrived; also called before a dead process is mourned, to hear its last words."""
        while not self.closed:
            try:
                packet, fds = transport.receive(self._sock)
            except BlockingIOError:
                return
            except OSError:
                packet, fds = b"", []
            if not packet:
                transport.close_all(fds)
                self.close()
                return
            try:
                message = protocol.decode(packet)
            except msgspec.DecodeError:
                log.warning("a peer spoke gibberish", pid=self.pid)
                transport.close_all(fds)
                self.close()
                return
            self._on_message(self, message, fds)

    def send(self, message: protocol.Message, fds: Sequence[int] = ()) -> None:
        """Send a message; descriptors are duplicated, so that the caller may close its own at once.

        Raises:
            OSError: the descriptors cannot be duplicated; nothing was sent.
        """
        if self.closed:
            return
        self._queue.append((protocol.encode(message), transport.duplicate(fds)))
        self._write()

    def _write(self) -> None:
        while self._queue:
            packet, fds = self._queue[0]
            try:
                transport.send(self._sock, packet, fds)
            except BlockingIOError:
                self._loop.add_writer(self._sock, self._write)
                return
            except OSError:
                self.close()
                return
            self._queue.popleft()
            transport.close_all(fds)
        self._loop.remove_writer(self._sock)

    def close(self) -> None:
        """Hang up."""
        if self.closed:
            return
        self.closed = True
        self._loop.remove_reader(self._sock)
        self._loop.remove_writer(self._sock)
        with contextlib.suppress(OSError):
            self._sock.close()
        for _, fds in self._queue:
            transport.close_all(fds)
        self._queue.clear()
        self._on_close(self)
