"""The side that is asked: answers a share of a split, and scores copies for a shadow, where neither harms anybody else."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from samovar import logs
from samovar.serving.errors import QueueFull
from samovar.serving.jobs import Job
from samovar.serving.protocols.answers import Predictions, Scored
from samovar.serving.traffic import frames
from samovar.serving.traffic.fit import Fit, Misfit

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping, Sequence

    from samovar.scoring.engine import Engine
    from samovar.scoring.plan import ScorerPlan
    from samovar.serving.desk import Desk
    from samovar.serving.jobs import Answers
    from samovar.serving.joining import Outcome
    from samovar.serving.traffic.shadowing import Shadowing

log = logs.get_logger(__name__)


class Host:
    """Answers the workers of other aliases of the model.

    Args:
        plan: the version.
        engine: its model.
        desk: scores shares among the endpoint's own requests.
        shadowing: scores copies.
        alias: the endpoint's.
    """

    def __init__(self, plan: ScorerPlan, engine: Engine, desk: Desk, shadowing: Shadowing, alias: str) -> None:
        self.plan = plan
        self.engine = engine
        self.desk = desk
        self.shadowing = shadowing
        self.alias = alias
        self._guests: set[Guest] = set()
        self._server: asyncio.Server | None = None
        self._leaving = False

    async def open(self, listener: socket.socket) -> None:
        """Listen; this call owns the socket."""
        listener.setblocking(False)
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(lambda: Guest(self), sock=listener)

    @property
    def empty(self) -> bool:
        """Whether nobody is connected."""
        return not self._guests

    def leave(self) -> None:
        """Listen no more, and tell all guests to go elsewhere; whatever still comes is answered."""
        self._leaving = True
        if self._server is not None:
            self._server.close()
        for guest in self._guests:
            guest.send(frames.Leaving())

    def close(self) -> None:
        """Hang up."""
        for guest in list(self._guests):
            guest.hang_up()

    def welcome(self, guest: Guest, opening: frames.Opening) -> frames.Welcome | frames.Unfit:
        """Say who answers, or that the versions do not fit."""
        contract = self.plan.contract
        classes = tuple(self.engine.classes)
        try:
            guest.fit = Fit(opening, self.plan, classes)
        except Misfit as error:
            return frames.Unfit(str(error))
        return frames.Welcome(
            self.alias, self.plan.version, self.plan.label, contract.project, classes, contract.positive, contract.threshold
        )

    def come(self, guest: Guest) -> None:
        """Note a guest."""
        self._guests.add(guest)
        if self._leaving:
            guest.send(frames.Leaving())

    def go(self, guest: Guest) -> None:
        """Forget a guest."""
        self._guests.discard(guest)


class Guest(asyncio.Protocol):
    """One connection of another endpoint's worker."""

    def __init__(self, host: Host) -> None:
        self.fit: Fit | None = None
        self.opening: frames.Opening | None = None
        self._host = host
        self._reader = frames.Reader(self._take)
        self._transport: Any = None

    def connection_made(self, transport: Any) -> None:
        """See `asyncio.Protocol`."""
        self._transport = transport
        self._host.come(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's shape
        """See `asyncio.Protocol`."""
        self._host.go(self)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        try:
            self._reader.feed(data)
        except Exception as error:  # noqa: BLE001 - whoever talks nonsense is no peer
            log.warning("a peer spoke gibberish", error=type(error).__name__)
            self._transport.abort()

    def send(self, message: frames.Message) -> None:
        """Send a message, unless the guest is gone."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(frames.encode(message))

    def hang_up(self) -> None:
        """Close."""
        self._transport.close()

    def _take(self, message: frames.Message) -> None:
        match message:
            case frames.Ask() if self.fit is not None:
                self._answer(message, self.fit)
            case frames.Copies() if self.fit is not None and self.opening is not None:
                # The next copies are read when these are done: what a slow shadow cannot take waits, and is dropped, at the sender.
                self._transport.pause_reading()
                self._host.shadowing.take(message, self.opening, self.fit, self._rested)
            case frames.Opening():
                self.opening = message
                self.send(self._host.welcome(self, message))

    def _rested(self) -> None:
        with contextlib.suppress(RuntimeError):  # the guest is gone
            self._transport.resume_reading()

    def _answer(self, ask: frames.Ask, fit: Fit) -> None:
        """Score a share as a request of the endpoint's own would be."""
        desk = self._host.desk
        rows = len(ask.columns[0])
        job = Job(fit.columns(ask.columns, rows), rows, ASKS[ask.how], _nothing, params=ask.params)
        tell: Callable[[Outcome], None] = lambda outcome: self._tell(ask, fit, outcome)  # noqa: E731 - its type
        if desk.inline and rows <= desk.config.inline_rows:
            tell(desk.joiner.alone(job))
            return
        try:
            desk.batcher.submit(job, tell)
        except QueueFull:
            self.send(frames.Failed(ask.id, "busy"))

    def _tell(self, ask: frames.Ask, fit: Fit, outcome: Outcome) -> None:
        if isinstance(outcome, Exception):
            self._host.desk.failures.tell(outcome, b"", "a share of a split")
            self.send(frames.Failed(ask.id, "failed"))
            return
        labels, shares = parts(outcome[1], fit)
        if not isinstance(labels, list):  # an answer to the whole request, which nobody can join with others'
            self.send(frames.Failed(ask.id, "failed"))
            return
        try:
            self.send(frames.Told(ask.id, labels, shares))
        except frames.UNENCODABLE:
            self.send(frames.Failed(ask.id, "failed"))


def parts(answers: Answers, fit: Fit) -> tuple[Any, Any]:
    """Return n labels (or what ``predict`` gave instead), and probabilities in the order of the asker's classes."""
    if isinstance(answers, Predictions):
        return answers.values, None
    assert isinstance(answers, Scored)
    shares = answers.shares
    if shares is not None and fit.order is not None:
        shares = [[share[place] for place in fit.order] for share in shares]
    return answers.labels, shares


def _score(engine: Engine, columns: Sequence[Sequence[Any]], _params: Mapping[str, Any]) -> Answers:
    return Scored.of(engine.columns(columns))


def _predict(engine: Engine, columns: Sequence[Sequence[Any]], params: Mapping[str, Any]) -> Answers:
    return Predictions(engine.predict(columns, params))


def _nothing(_answers: Any) -> bytes:
    return b""


ASKS: dict[str, Callable[[Engine, Sequence[Sequence[Any]], Mapping[str, Any]], Answers]] = {
    "decided": _score,
    "columns": _score,
    "predict": _predict,
}
"""What is asked of the engine, by name."""
