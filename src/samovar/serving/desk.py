"""The desk: the body of a scoring request goes in, its answer comes out at the end of a turn, whichever way it came over HTTP."""

from __future__ import annotations

import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from samovar.errors import RequestError
from samovar.serving import errors
from samovar.serving.batcher import Batcher
from samovar.serving.errors import TooManyRows
from samovar.serving.failures import Failures
from samovar.serving.gathering import Gathering, Waiting
from samovar.serving.joining import Joiner
from samovar.serving.thread import Beside
from samovar.serving.turn import Turn
from samovar.serving.wire import Response

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from samovar.scoring.engine import Engine
    from samovar.serving.batcher import Ticket
    from samovar.serving.config import EndpointConfig
    from samovar.serving.jobs import Answers, Job, Route, Row
    from samovar.serving.joining import Outcome
    from samovar.serving.metrics import Metrics
    from samovar.serving.traffic.parted import Part, Parted
    from samovar.serving.traffic.sharing import Sharing
    from samovar.serving.turn import Spool

_LARGE = 64 * 2**10  # bytes of a body that takes about a millisecond to decode: larger ones are decoded beside the loop


class Desk:
    """Scores requests for one endpoint, and counts and logs what it answers.

    Args:
        engine: the model.
        routes: what can be asked.
        config: limits.
        metrics: counts.
        spool: the prediction log.
    """

    def __init__(self, engine: Engine, routes: Iterable[Route], config: EndpointConfig, metrics: Metrics, spool: Spool) -> None:
        self.routes = {route.path: route for route in routes}
        self.draining = False
        self.inline = bool(getattr(engine, "inline", False))
        self.config = config
        self.metrics = metrics
        self.spool = spool
        self.lock = None if self.inline else threading.Lock()
        """Held while a model is asked that only one thread may ask at a time."""
        self.joiner = Joiner(engine, self.lock)
        self.failures = Failures()
        self.traffic: Sharing | None = None
        """Shares what is asked with other aliases; None, and then the cost of one look, when nobody is to get anything."""
        self._engine = engine
        self._counted = metrics.routes
        self._gatherings: dict[str, Gathering] = {}
        self.refusals = {path: self._refusal(route) for path, route in self.routes.items()}

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to take requests; in the process and on the loop that serve."""
        self.turn = Turn(loop, self.spool)
        self.batcher = Batcher(self._engine, self.config, loop, self.metrics.batch, self.lock)
        self.metrics.refresh = lambda: self.metrics.queue.set(self.batcher.waiting)
        self.decoder: Beside[Job] = Beside("decoder", loop)
        for path, route in self.routes.items():
            if route.handler.together is not None:
                read, finish = route.handler.together
                self._gatherings[path] = Gathering(self.turn, read, finish, partial(self._settle, route))

    def share(self, traffic: Sharing | None) -> None:
        """Share what is asked from now on, or nothing; a request under way ends as it began."""
        self.traffic = traffic
        if traffic is not None:  # and what is under way when it ends is written too
            self.turn.also = traffic.flush

    def close(self) -> None:
        """Let the threads go and close the log."""
        self.batcher.close()
        self.decoder.close()
        self.spool.close()
        self.metrics.close()

    def is_stuck(self) -> bool:
        """Tell whether the model is in one call, or a body in one decoding, for so long that nobody waits for its end any more."""
        return max(self.batcher.busy_seconds, self.decoder.busy_seconds) > self.config.stuck_seconds

    def tick(self) -> None:
        """Called about once a second."""
        self.spool.tick()
        self.metrics.refresh()

    def ask(  # noqa: PLR0913, PLR0917 - one request, without an object for it
        self,
        route: Route,
        body: bytes,
        media: str,
        headers: Mapping[bytes, bytes],
        request_id: bytes,
        deliver: Callable[[Response], None],
    ) -> Asked | None:
        """Answer one body by ``deliver(response)``, later on the loop and never from within this call.

        Returns:
            The request as long as it waits for a thread, so that it can be dropped; None when its answer is ready.
        """
        started = time.perf_counter()
        take, traffic = route.handler.quick, self.traffic
        gathering = None
        if traffic is not None and traffic.split:
            take = take and traffic.quick(route.handler, request_id, headers)
        elif (gathering := self._gatherings.get(route.path)) is not None:
            take = gathering.read
        if take is not None and len(body) <= _LARGE:
            try:
                taken = take(body)
            except Exception as error:  # noqa: BLE001 - it becomes the answer
                Asked(self, route, request_id, deliver, started, len(body)).fail(error)
                return None
            if taken is not None:
                if gathering is None:
                    self._settle(route, Waiting(taken, request_id, headers, deliver, started, len(body)), taken)
                else:
                    gathering.add(Waiting(taken, request_id, headers, deliver, started, len(body)))
                return None
        return Asked(self, route, request_id, deliver, started, len(body)).begin(body, media, headers)

    def _settle(self, route: Route, one: Waiting, row: Row | Exception) -> None:
        """Log, count and answer a request of one row."""
        if isinstance(row, Exception):
            Asked(self, route, one.request_id, one.deliver, one.started, one.received).fail(row)
            return
        self.spool.row(one.request_id, route.name, row)
        traffic = self.traffic
        response = Response(200, row[0]) if traffic is None else self._shared(traffic, route, one.request_id, one.headers, row)
        self.turn.add(one.deliver, response, self.refusals[route.path])
        self._counted[route.name].observe(
            seconds=time.perf_counter() - one.started, received=one.received, status=200, sent=len(row[0])
        )

    def _shared(self, traffic: Sharing, route: Route, request_id: bytes, headers: Mapping[bytes, bytes], row: Row) -> Response:
        """Return the answer to a row of the endpoint's own share, whose copies are on their way."""
        traffic.copy_row(request_id, route.name, route.handler.how, row)
        if not traffic.split:
            return Response(200, row[0])
        traffic.count_quick(row[2], request_id, headers)
        return Response(200, row[0], headers=traffic.signed())

    def _refusal(self, route: Route) -> Callable[[Exception], Response]:
        """Return what makes the answer to a request that was scored and counted, but could not be logged."""

        def refuse(error: Exception) -> Response:
            self._counted[route.name].refused(errors.describe(error).kind)
            return route.handler.error(error)

        return refuse


class Asked:
    """One request that takes more than a quick look."""

    __slots__ = (
        "_deliver",
        "_desk",
        "_encoded",
        "_gone",
        "_headers",
        "_id",
        "_job",
        "_large",
        "_open",
        "_received",
        "_route",
        "_started",
        "_ticket",
    )

    def __init__(  # noqa: PLR0913, PLR0917 - one request
        self, desk: Desk, route: Route, request_id: bytes, deliver: Callable[[Response], None], started: float, received: int
    ) -> None:
        self._desk = desk
        self._route = route
        self._id = request_id
        self._deliver = deliver
        self._started = started
        self._received = received
        self._ticket: Ticket | Parted | None = None
        self._job: Job | None = None
        self._large: tuple[bytes, str, Mapping[bytes, bytes]] | None = None
        self._encoded: bytes | bytearray | None = None  # what is logged of a large request
        self._gone = False
        self._open = True
        desk.metrics.in_flight.add()

    def begin(self, body: bytes, media: str, headers: Mapping[bytes, bytes]) -> Asked | None:
        """Decode; a large body beside the loop."""
        self._headers = headers
        handler = self._route.handler
        if len(body) > _LARGE:
            self._large = (body, media, headers)
            self._desk.decoder.do(self._decode_large, self._later)
            return self
        try:
            job = handler.decode(body, media, headers)
        except Exception as error:  # noqa: BLE001 - it becomes the answer
            self.fail(error)
            return None
        return self._decoded(job)

    def _decode_large(self) -> Job:
        """Decode in the thread; whoever left while others were decoded has taken its body along."""
        large, self._large = self._large, None
        if large is None:
            raise RequestError("The client is gone.")
        return self._route.handler.decode(*large)

    def _later(self, job: Job | Exception) -> None:
        self._decoded(job)

    def leave(self) -> None:
        """The client is gone: do nothing more for it."""
        self._gone = True
        self._large = None
        if self._ticket is not None:
            self._ticket.leave()
        self._end()

    def _decoded(self, job: Job | Exception) -> Asked | None:
        """Score; few rows of a compiled model at once."""
        if self._gone:
            return None
        config = self._desk.config
        if isinstance(job, Exception):
            self.fail(job)
            return None
        if job.rows > config.max_rows:
            self.fail(TooManyRows(config.max_rows))
            return None
        self._job = job
        traffic = self._desk.traffic
        if traffic is not None and traffic.split and job.call is None and self._part(traffic, job):
            return self
        return self._score(job)

    def _score(self, job: Job) -> Asked | None:
        """Have this endpoint's own version answer."""
        config = self._desk.config
        if self._desk.inline and job.call is None and job.rows <= config.inline_rows and self._received <= _LARGE:
            self._settled(job, self._desk.joiner.alone(job))
            return None
        if self._received > _LARGE:
            self._log_beside(job)
        try:
            self._ticket = self._desk.batcher.submit(job, partial(self._settled, job))
        except errors.QueueFull as error:
            self.fail(error)
            return None
        return self

    def _part(self, traffic: Sharing, job: Job) -> bool:
        """Have others answer their share; False when this endpoint answers it all."""
        if traffic.keeps(job, self._id, self._headers):
            return False
        columns: Any = job.columns
        if hasattr(columns[0], "tolist"):  # arrays are for who keeps them whole
            job.columns = [column.tolist() for column in columns]
        parted = traffic.part(
            job,
            self._route.handler.how,
            self._id,
            self._headers,
            lambda found: self._joined(traffic, found),
            large=self._received > _LARGE,
        )
        if parted is None:
            return False
        self._ticket = parted
        parted.begin()
        return True

    def _joined(self, traffic: Sharing, found: Any) -> None:
        """Answer what several versions answered."""
        if isinstance(found, Exception):
            self.fail(found)
            return
        body, parts = found
        try:
            self._note(traffic, parts)
            headers = traffic.signed(parts)
        except Exception as error:  # noqa: BLE001 - it becomes the answer
            self.fail(error)
            return
        self._leave(body, headers)

    def _note(self, traffic: Sharing, parts: Sequence[Part]) -> None:
        """Log and copy what several versions answered."""
        how, name = self._route.handler.how, self._route.name
        traffic.log(self._id, name, parts)
        for part in parts:
            traffic.copy_job(self._id, name, how, part.job, part.answers if part.voice is None else None)

    def _log_beside(self, job: Job) -> None:
        """Let the thread that writes the answer encode what is logged of it, too."""
        write = job.write

        def write_both(answers: Answers) -> bytes | Response:
            body, own = write(answers), self._job
            if own is not None:  # somebody still waits for it
                self._encoded = self._desk.spool.large(self._id, self._route.name, own, answers)
            return body

        job.write = write_both

    def _settled(self, job: Job, outcome: Outcome) -> None:
        if isinstance(outcome, Exception):
            self.fail(outcome)
            return
        body, answers = outcome
        if self._encoded is None:
            self._desk.spool.job(self._id, self._route.name, job, answers)
        else:
            self._desk.spool.put(self._encoded)
        traffic = self._desk.traffic
        if traffic is not None:
            traffic.copy_job(self._id, self._route.name, self._route.handler.how, job, answers)
        self._leave(body, traffic.signed() if traffic is not None and traffic.split else ())

    def _leave(self, body: bytes | Response, headers: tuple[tuple[bytes, bytes], ...]) -> None:
        response = body if isinstance(body, Response) else Response(200, body)
        if headers:
            response = msgspec.structs.replace(response, headers=(*response.headers, *headers))
        self._desk.turn.add(self._deliver, response, self._desk.refusals[self._route.path])
        self._count(200, len(response.body), "")

    def fail(self, error: Exception) -> None:
        """Answer with an error."""
        response = self._route.handler.error(error)
        if response.status >= errors.SERVER:
            self._desk.failures.tell(error, self._id, self._route.path)
        self._desk.turn.add(self._deliver, response, None)
        self._count(response.status, len(response.body), errors.describe(error).kind)

    def _end(self) -> None:
        """Let go of what leads back here: the collector comes seldom, and a large request's megabyte would wait for it."""
        self._job = self._ticket = self._encoded = None
        if self._open:
            self._open = False
            self._desk.metrics.in_flight.add(-1.0)

    def _count(self, status: int, sent: int, kind: str) -> None:
        self._end()
        self._desk.metrics.routes[self._route.name].observe(
            seconds=time.perf_counter() - self._started, received=self._received, status=status, sent=sent, kind=kind
        )
