"""Batching by turns of the event loop: no timer, and no wait that is not the loop's own work.

A model that costs milliseconds a call, however few the rows, is asked by one thread. While it thinks, requests gather; when it is
free, everything that has gathered and fits together goes into the next call. A call starts at the first turn of the loop that
brings no new request: as long as turns bring some, the interpreter is busy reading them, and the model's thread would only compete
with that.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from samovar.serving.errors import Late, QueueFull
from samovar.serving.joining import Joiner, key
from samovar.serving.thread import Beside

if TYPE_CHECKING:
    import asyncio
    import threading
    from collections.abc import Callable

    from samovar.scoring.engine import Engine
    from samovar.serving.config import EndpointConfig
    from samovar.serving.jobs import Job
    from samovar.serving.joining import Outcome

_TURNS = 64  # turns that bring requests before a call starts all the same


class Ticket:
    """A job's place in the queue.

    Attributes:
        job: the job.
        due: when its time is over, on the loop's clock.
        settled: whether it has its outcome, or its client is gone and wants none.
    """

    __slots__ = ("due", "job", "key", "settled", "tell")

    def __init__(self, job: Job, due: float, tell: Callable[[Outcome], None]) -> None:
        self.job = job
        self.key = key(job)
        self.due = due
        self.tell = tell
        self.settled = False

    def settle(self, outcome: Outcome) -> None:
        """Tell the outcome, once."""
        if not self.settled:
            self.settled = True
            self.tell(outcome)

    def leave(self) -> None:
        """The client is gone: the job is dropped if it is not being scored yet."""
        self.settled = True


class Batcher:
    """Jobs for the model's thread.

    Args:
        engine: the model.
        config: limits.
        loop: the event loop; every method is called on it.
        observe: told the number of requests and of rows of each call to the model.
        lock: see `Joiner`.
    """

    def __init__(
        self,
        engine: Engine,
        config: EndpointConfig,
        loop: asyncio.AbstractEventLoop,
        observe: Callable[[int, int], None],
        lock: threading.Lock | None = None,
    ) -> None:
        self._config = config
        self._loop = loop
        self._observe = observe
        self._joiner = Joiner(engine, lock)
        self._thread: Beside[list[Outcome]] = Beside("model", loop)
        self._queue: deque[Ticket] = deque()
        self._dues: deque[Ticket] = deque()  # in order of their deadlines, since all have the same time
        self._busy = False
        self._awake = False
        self._seen = 0
        self._turns = 0
        self._alarm: asyncio.TimerHandle | None = None

    @property
    def waiting(self) -> int:
        """Jobs in the queue."""
        return len(self._queue)

    @property
    def busy_seconds(self) -> float:
        """How long the present call to the model has taken so far; 0 when there is none."""
        return self._thread.busy_seconds

    def submit(self, job: Job, tell: Callable[[Outcome], None]) -> Ticket:
        """Queue a job; ``tell(outcome)`` is called on the loop, never from within this call.

        Raises:
            QueueFull: too many wait.
        """
        if len(self._queue) >= self._config.queue_jobs:
            self._drop_settled()
            if len(self._queue) >= self._config.queue_jobs:
                raise QueueFull
        ticket = Ticket(job, self._loop.time() + self._config.deadline_seconds, tell)
        self._queue.append(ticket)
        self._dues.append(ticket)
        if self._alarm is None:
            self._alarm = self._loop.call_at(ticket.due, self._expire)
        self._wake()
        return ticket

    def close(self) -> None:
        """Let the thread go."""
        self._thread.close()
        if self._alarm is not None:
            self._alarm.cancel()

    def _drop_settled(self) -> None:
        self._queue = deque(ticket for ticket in self._queue if not ticket.settled)
        self._dues = deque(ticket for ticket in self._dues if not ticket.settled)

    def _wake(self) -> None:
        if not self._awake and not self._busy:
            self._awake = True
            self._seen = self._turns = 0
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        """Start a call unless this turn of the loop brought something."""
        self._turns += 1
        if self._seen < len(self._queue) < self._config.batch_rows and self._turns < _TURNS:
            self._seen = len(self._queue)
            self._loop.call_soon(self._turn)
            return
        self._awake = False
        tickets = self._next()
        if tickets:
            self._busy = True
            jobs = [ticket.job for ticket in tickets]
            self._observe(len(jobs), sum(job.rows for job in jobs))
            self._thread.do(lambda: self._joiner.score(jobs), lambda outcomes: self._finish(tickets, outcomes))

    def _next(self) -> list[Ticket]:
        """Take the oldest job and what may be scored with it, in order."""
        taken: list[Ticket] = []
        others: deque[Ticket] = deque()
        rows = 0
        for ticket in self._queue:
            if ticket.settled:
                continue
            if not taken or self._fits(ticket, taken[0], rows):
                taken.append(ticket)
                rows += ticket.job.rows
            else:
                others.append(ticket)
        self._queue = others
        return taken

    def _fits(self, ticket: Ticket, first: Ticket, rows: int) -> bool:
        return first.key is not None and ticket.key == first.key and rows + ticket.job.rows <= self._config.batch_rows

    def _finish(self, tickets: list[Ticket], outcomes: list[Outcome] | Exception) -> None:
        self._busy = False
        told: list[Any] = [outcomes] * len(tickets) if isinstance(outcomes, Exception) else outcomes
        for ticket, outcome in zip(tickets, told, strict=True):
            ticket.settle(outcome)
        while self._dues and self._dues[0].settled:
            self._dues.popleft()
        if self._queue:
            self._wake()

    def _expire(self) -> None:
        now = self._loop.time()
        while self._dues and (self._dues[0].settled or self._dues[0].due <= now):
            self._dues.popleft().settle(Late(self._config.deadline_seconds))
        self._alarm = self._loop.call_at(self._dues[0].due, self._expire) if self._dues else None
