"""Copies for one shadow, on their way: gathered for a moment, sent with one write, and dropped wherever they would pile up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from samovar.serving.spool.writer import split
from samovar.serving.traffic import frames

if TYPE_CHECKING:
    import asyncio

    from samovar.serving.jobs import Answers, Job
    from samovar.serving.traffic.counts import Drops
    from samovar.serving.traffic.line import Line

_SECONDS = 0.01  # that copies are gathered: they are in no hurry, and one write is cheaper than ten
_ROWS = 20_000  # gathered at most
_BYTES = 4 * 2**20  # that the shadow has not read
_LARGE = 200_000  # values of one request, beyond which encoding it would hold up the loop for milliseconds


class Copying:
    """Sends copies.

    Args:
        line: to the shadow, of its own: what it does not read must not be in the way of a split.
        loop: the event loop.
        counts: of what was sent and dropped.
    """

    def __init__(self, line: Line, loop: asyncio.AbstractEventLoop, counts: Drops) -> None:
        self.line = line
        self._loop = loop
        self._counts = counts
        self._singles: list[tuple[Any, ...]] = []
        self._many: list[tuple[Any, ...]] = []
        self._rows = 0
        self._timer: asyncio.TimerHandle | None = None

    def single(self, copy: tuple[Any, ...]) -> None:
        """Take a request of one row, in the order of `frames.Single`."""
        if self._room(1):
            self._singles.append(copy)

    def many(self, request_id: bytes, route: str, how: frames.How, job: Job, answers: Answers | None) -> None:
        """Take a request of n rows."""
        if job.rows * len(job.columns) > _LARGE:
            self._counts.count("full", job.rows)
        elif self._room(job.rows):
            self._many.append((request_id, route, how, job, answers))

    def close(self) -> None:
        """Send no more."""
        if self._timer is not None:
            self._timer.cancel()
        self.line.close()

    def _room(self, rows: int) -> bool:
        """Tell whether so many more are taken; the first ones begin to gather."""
        if self.line.welcome is None:
            self._counts.count("unfit" if self.line.unfit else "down", rows)
            return False
        if self._rows + rows > _ROWS:
            self._counts.count("full", rows)
            return False
        self._rows += rows
        if self._timer is None:
            self._timer = self._loop.call_later(_SECONDS, self._send)
        return True

    def _send(self) -> None:
        self._timer = None
        singles, many, rows = self._singles, self._many, self._rows
        self._singles, self._many, self._rows = [], [], 0
        # Tuples are written as the structs would be.
        why = self.line.send(frames.Copies(singles, [_many(*one) for one in many]), _BYTES)  # type: ignore[arg-type, misc]
        if why:
            self._counts.count(why, rows)
        else:
            self._counts.sent(rows)


def _many(request_id: bytes, route: str, how: frames.How, job: Job, answers: Answers | None) -> tuple[Any, ...]:
    """Return a request of n rows in the order of `frames.Many`."""
    labels, shares = (None, None) if answers is None else split(answers)
    return (request_id, route, how, job.rows, job.keys, job.columns, job.params, labels, shares, job.places)
