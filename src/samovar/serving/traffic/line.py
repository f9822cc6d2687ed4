"""The side that asks: one connection to the workers of another alias, kept open, and changed without loss when they are swapped.

Whatever goes wrong there is a reason here, told at once or at the deadline; nothing is raised and nobody waits longer.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

from samovar import logs
from samovar.serving.traffic import frames

if TYPE_CHECKING:
    from collections.abc import Callable

    from samovar.serving.traffic.policy import Target

    Reply = Callable[[frames.Told | str, frames.Welcome | None], None]
    """Called with the answers, or a reason why there are none, and with who gave them."""

log = logs.get_logger(__name__)

_FIRST, _LONGEST = 0.05, 1.0  # seconds between two attempts to connect
_PAUSE, _LONG_PAUSE = 0.5, 8.0  # seconds for which a version that was slow is not asked
_HANDOVER = 1.0  # seconds for which one that leaves is asked until its successor is there
_WAITING = 1024  # asks at once


class Line:
    """Reaches the workers of another alias.

    Args:
        loop: the event loop; every method is called on it.
        target: the alias.
        opening: what it is told first.
        seconds: time for an answer.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, target: Target, opening: frames.Opening, seconds: float) -> None:
        self.target = target
        self.loop = loop
        self.opening = opening
        self.seconds = seconds
        self._wire: _Wire | None = None  # that is used
        self._next: _Wire | None = None  # that is not welcomed yet
        self._old: set[_Wire] = set()
        self._delay = _FIRST
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        self._slow_until, self._pause, self._probing = 0.0, _PAUSE, False
        self.unfit = ""
        self._connect()

    @property
    def welcome(self) -> frames.Welcome | None:
        """Who answers now; None when nobody does."""
        return self._wire.welcome if self._wire is not None else None

    def ask(self, how: frames.How, columns: list[Any], params: dict[str, Any], then: Reply) -> None:
        """Have rows scored: ``then(answers or a reason)``, at the deadline at the latest; never from within this call."""
        wire = self._wire
        reason = self._refusal(wire)
        if reason or wire is None:
            self.loop.call_soon(then, reason, None)
            return
        try:
            wire.ask(how, columns, params, then)
        except frames.UNENCODABLE:
            self.loop.call_soon(then, "unfit", None)

    def send(self, message: frames.Message, limit: int) -> str:
        """Send what nobody answers; returns why it could not be sent, if it could not, which includes ``limit`` bytes waiting."""
        wire = self._wire
        if wire is None:
            return "unfit" if self.unfit else "down"
        try:
            return "" if wire.send(message, limit) else "full"
        except frames.UNENCODABLE:
            return "unfit"

    def close(self) -> None:
        """Hang up when what is under way is answered."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        for wire in [self._wire, self._next, *self._old]:
            if wire is not None:
                wire.finish()
        self._wire = self._next = None

    def _refusal(self, wire: _Wire | None) -> str:
        if wire is None:
            return "unfit" if self.unfit else "down"
        if self.loop.time() < self._slow_until or (self._probing and wire.waiting):
            return "slow"
        return "busy" if wire.waiting >= _WAITING else ""

    # --- what wires tell --------------------------------------------------------------------------------------------------------

    def welcomed(self, wire: _Wire) -> None:
        """Use it from now on; whom it replaces is let go when it has answered."""
        self._delay = _FIRST
        self.unfit = ""
        old, self._wire = self._wire, wire
        if self._next is wire:
            self._next = None
        if old is not None and old is not wire:
            self._old.add(old)
            old.finish()

    def refused(self, wire: _Wire, reason: str) -> None:
        """The versions do not fit: until another is there, nobody is asked."""
        if self.unfit != reason:
            log.warning("another version cannot take our rows", alias=self.target.alias, reason=reason)
        self.unfit = reason
        if self._wire is not None and self._wire is not wire:
            self._old.add(self._wire)
            self._wire.finish()
            self._wire = None

    def leaving(self, wire: _Wire) -> None:
        """It leaves: connect to its successor, and use it until that welcomes us."""
        if wire is self._next:  # it did not fit; its successor may
            self._next = None
            self._old.add(wire)
            wire.finish()
        elif wire is not self._wire:
            return
        if self._next is None:
            self._connect()
        self.loop.call_later(_HANDOVER if self._next is not None else 0.0, self._let_go, wire)

    def _let_go(self, wire: _Wire) -> None:
        """Ask one that leaves no more, although nobody took its place."""
        if wire is self._wire:
            self._wire = None
            self._old.add(wire)
        wire.finish()

    def lost(self, wire: _Wire) -> None:
        """It is gone."""
        self._old.discard(wire)
        if wire is self._wire:
            self._wire = None
        if wire is self._next:
            self._next = None
        if self._wire is None and self._next is None:
            self._later()

    def slow(self) -> None:
        """An answer did not come in time: do without for a while, then try with one."""
        self._slow_until = self.loop.time() + self._pause
        self._pause = min(2 * self._pause, _LONG_PAUSE)
        self._probing = True

    def prompt(self) -> None:
        """An answer came in time."""
        if self._probing:
            self._probing, self._pause, self._slow_until = False, _PAUSE, 0.0

    # --- inside -----------------------------------------------------------------------------------------------------------------

    def _connect(self) -> None:
        self._timer = None
        if self._closed:
            return
        try:
            sock = _connected(Path(self.target.path))
        except OSError:
            self._later()
            return
        self._next = wire = _Wire(self)
        self.loop.create_task(self._adopt(wire, sock))

    async def _adopt(self, wire: _Wire, sock: socket.socket) -> None:
        try:
            await self.loop.create_unix_connection(lambda: wire, sock=sock)
        except OSError:
            sock.close()
            self.lost(wire)

    def _later(self) -> None:
        if self._timer is None and not self._closed:
            self._timer = self.loop.call_later(self._delay, self._connect)
            self._delay = min(2 * self._delay, _LONGEST)


class _Wire(asyncio.Protocol):
    """One connection."""

    def __init__(self, line: Line) -> None:
        self.welcome: frames.Welcome | None = None
        self._line = line
        self._reader = frames.Reader(self._take)
        self._transport: Any = None
        self._count = 0
        self._asked: dict[int, Reply] = {}
        self._dues: deque[tuple[float, int]] = deque()
        self._alarm: asyncio.TimerHandle | None = None
        self._finishing = False

    @property
    def waiting(self) -> int:
        """Asks that are not answered yet."""
        return len(self._asked)

    def connection_made(self, transport: Any) -> None:
        """See `asyncio.Protocol`."""
        self._transport = transport
        transport.write(frames.encode(self._line.opening))
        if self._finishing:
            transport.close()

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        try:
            self._reader.feed(data)
        except Exception as error:  # noqa: BLE001 - whoever talks nonsense is no peer
            log.warning("a peer spoke gibberish", error=type(error).__name__)
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's shape
        """See `asyncio.Protocol`."""
        if self._alarm is not None:
            self._alarm.cancel()
        self._line.lost(self)
        asked, self._asked = self._asked, {}
        for then in asked.values():
            _tell(then, "down", None)

    def ask(self, how: frames.How, columns: list[Any], params: dict[str, Any], then: Reply) -> None:
        """See `Line.ask`."""
        self._count += 1
        data = frames.encode(frames.Ask(self._count, how, columns, params))
        self._asked[self._count] = then
        self._dues.append((self._line.loop.time() + self._line.seconds, self._count))
        if self._alarm is None:
            self._alarm = self._line.loop.call_at(self._dues[0][0], self._expire)
        self._transport.write(data)

    def send(self, message: frames.Message, limit: int) -> bool:
        """Send a message unless ``limit`` bytes would wait then."""
        waiting = self._transport.get_write_buffer_size()
        if waiting >= limit:
            return False
        data = frames.encode(message)
        if waiting and waiting + len(data) > limit:
            return False
        self._transport.write(data)
        return True

    def finish(self) -> None:
        """Hang up when nothing is under way."""
        self._finishing = True
        if not self._asked and self._transport is not None:
            self._transport.close()

    def _take(self, message: frames.Message) -> None:
        match message:
            case frames.Told(id=number):
                self._settle(number, message)
            case frames.Failed(id=number, reason=reason):
                self._settle(number, reason)
            case frames.Welcome():
                self.welcome = message
                self._line.welcomed(self)
            case frames.Unfit(reason=reason):
                self._line.refused(self, reason)
            case frames.Leaving():
                self._line.leaving(self)

    def _settle(self, number: int, reply: frames.Told | str) -> None:
        then = self._asked.pop(number, None)
        if then is not None:
            self._line.prompt()
            _tell(then, reply, self.welcome)
        if self._finishing and not self._asked:
            self._transport.close()

    def _expire(self) -> None:
        now = self._line.loop.time()
        late = []
        while self._dues and (self._dues[0][0] <= now or self._dues[0][1] not in self._asked):
            then = self._asked.pop(self._dues.popleft()[1], None)
            if then is not None:
                late.append(then)
        if late:  # one stall, however many waited for it
            self._line.slow()
        for then in late:
            _tell(then, "slow", None)
        self._alarm = self._line.loop.call_at(self._dues[0][0], self._expire) if self._dues else None
        if self._finishing and not self._asked:
            self._transport.close()


def _tell(then: Reply, reply: frames.Told | str, welcome: frames.Welcome | None) -> None:
    """Tell one who asked; a failure of theirs is neither the peer's nor that of the others who wait."""
    try:
        then(reply, welcome)
    except Exception:
        log.exception("an answer of another version could not be used")


def _connected(path: Path) -> socket.socket:
    """Connect now or not at all; raises OSError."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.setblocking(False)
    folder = -1
    try:
        # A Unix address holds 107 bytes and state folders can lie deep: name the folder by a descriptor.
        folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        sock.connect(f"/proc/self/fd/{folder}/{path.name}")
    except OSError:
        sock.close()
        raise
    finally:
        if folder >= 0:
            with contextlib.suppress(OSError):
                os.close(folder)
    return sock
