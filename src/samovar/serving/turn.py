"""One turn of the event loop: the answers that became ready in it are logged together, then leave together.

The prediction log is written before any answer that it speaks of: with one write a turn instead of one a request, this costs the
same under load as it would without the promise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from samovar import logs
from samovar.errors import RetryLater

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable

    from samovar.serving.jobs import Answers, Job, Row
    from samovar.serving.wire import Response

    Ready = tuple[Callable[[Response], None], Response, Callable[[Exception], Response] | None]

log = logs.get_logger(__name__)


class NotLogged(RetryLater):
    """The prediction log takes no more, and the endpoint was told to refuse rather than to answer without it (503)."""


class Spool(Protocol):
    """Where answered requests are written. One thread calls it, the loop's, but for ``large``, which any thread may.

    ``row``, ``job`` and ``put`` only gather; ``flush`` makes one write of what was gathered since the last one.
    """

    def row(self, request_id: bytes, route: str, row: Row) -> None:
        """Gather one request that was answered by a handler's ``quick``."""
        ...

    def job(self, request_id: bytes, route: str, job: Job, answers: Answers) -> None:
        """Gather one request of n rows; a job with ``call`` has no columns, and answers that need not be one a row."""
        ...

    def large(self, request_id: bytes, route: str, job: Job, answers: Answers) -> bytes | bytearray:
        """Encode one request beside the loop, which a large one would hold up; raises nothing. The result goes to ``put``."""
        ...

    def put(self, encoded: bytes | bytearray) -> None:
        """Gather one request that ``large`` encoded."""
        ...

    def flush(self) -> None:
        """Write what was gathered: when this returns, ``kill -9`` of this process loses none of it.

        Raises:
            NotLogged: it could not be written and the endpoint is to refuse; the turn's logged answers become 503. A spool that is
                to answer all the same counts what it lost and returns.
        """
        ...

    def tick(self) -> None:
        """Called about once a second, for what depends on age."""
        ...

    def close(self) -> None:
        """Called once, after the last answer."""
        ...


def flush_all(flushes: Iterable[Callable[[], None]]) -> None:
    """Have several logs written, each of them even when another one refuses: nothing of this turn may stay for a later one.

    Raises:
        NotLogged: one of them could not be written and is to refuse.
    """
    refused = None
    for flush in flushes:
        try:
            flush()
        except NotLogged as error:
            refused = error
    if refused is not None:
        raise refused


class NoSpool:
    """The log of an endpoint that keeps none."""

    def row(self, request_id: bytes, route: str, row: Row) -> None:
        """Keep nothing."""

    def job(self, request_id: bytes, route: str, job: Job, answers: Answers) -> None:
        """Keep nothing."""

    def large(self, request_id: bytes, route: str, job: Job, answers: Answers) -> bytes | bytearray:  # noqa: ARG002 - a `Spool`
        """Encode nothing."""
        return b""

    def put(self, encoded: bytes | bytearray) -> None:
        """Keep nothing."""

    def flush(self) -> None:
        """Write nothing."""

    def tick(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


class Turn:
    """Answers waiting for the end of this turn of the loop.

    Args:
        loop: the event loop.
        spool: the prediction log.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, spool: Spool) -> None:
        self._loop = loop
        self._spool = spool
        self._ready: list[Ready] = []
        self._work: list[Callable[[], None]] = []
        self._due = False
        self.also: Callable[[], None] | None = None
        """Writes what is logged beside the endpoint's own log."""

    def add(self, deliver: Callable[[Response], None], response: Response, refuse: Callable[[Exception], Response] | None) -> None:
        """Let ``deliver(response)`` happen at the end of the turn.

        Args:
            deliver: sends the answer; it raises nothing.
            response: the answer.
            refuse: makes the answer instead if the log cannot be written; None for an answer that is not logged.
        """
        self._call()
        self._ready.append((deliver, response, refuse))

    def before(self, work: Callable[[], None]) -> None:
        """Call ``work()`` at the end of the turn, before the log is written: it may add answers and raises nothing."""
        self._call()
        self._work.append(work)

    def _call(self) -> None:
        if not self._due:
            self._due = True
            self._loop.call_soon(self._end)

    def _end(self) -> None:
        for work in self._work:
            try:
                work()
            except Exception:  # every other answer still leaves
                log.exception("rows of a turn could not be answered")
        self._work.clear()
        ready, self._ready, self._due = self._ready, [], False
        try:
            flush_all([self._spool.flush, *([self.also] if self.also is not None else [])])
        except NotLogged as error:
            ready = [(deliver, refuse(error) if refuse else response, refuse) for deliver, response, refuse in ready]
        for deliver, response, _ in ready:
            try:
                deliver(response)
            except Exception:  # one client's connection; the answers of all others still leave
                log.exception("an answer could not be sent")
