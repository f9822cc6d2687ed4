"""One endpoint worker's server: load the model, accept on an inherited socket, leave without losing a request.

Leaving (`EndpointServer.drain`) closes only this process's copy of the listener: another worker keeps accepting on the same
socket. Idle connections are not closed, because a request may be on its way in one: whatever still comes is answered with
``Connection: close``, and the worker leaves when no connection is left or its time is over.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.server import ServerState

from samovar import logs
from samovar.errors import ModelError
from samovar.scoring import probe
from samovar.scoring.engine import open_engine
from samovar.serving import errors, exposure
from samovar.serving.app import EndpointApp
from samovar.serving.config import EndpointConfig
from samovar.serving.connection import Connection
from samovar.serving.desk import Desk
from samovar.serving.front import Front
from samovar.serving.metrics import Metrics
from samovar.serving.routes import completed, routes
from samovar.serving.spool.opening import open_spool
from samovar.serving.traffic.neighbours import Neighbours
from samovar.serving.traffic.policy import NOTHING

if TYPE_CHECKING:
    from collections.abc import Callable

    from samovar.scoring.plan import ScorerPlan
    from samovar.serving.traffic.policy import Policy

log = logs.get_logger(__name__)

_TICK = 0.02  # seconds between two looks at the open connections while leaving
_LAST_CALL = 1.0  # seconds that answers under way get after the drain's time is over
_BACKLOG = 2048


class EndpointServer:
    """Serves one plan.

    Args:
        plan: the version.
        config: the endpoint.
    """

    def __init__(self, plan: ScorerPlan, config: EndpointConfig) -> None:
        self._plan = plan
        self._config = config
        self._desk: Desk | None = None
        self._state = ServerState()
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._leaving: asyncio.Event | None = None
        self._drained = False
        self._neighbours: Neighbours | None = None
        self._peers: socket.socket | None = None
        self._policy = NOTHING

    def load(self) -> None:
        """Open the model and let it answer its own input example.

        Raises:
            Untrusted: the files may run code and nobody trusted them.
            ModelError: it does not load or does not answer.
        """
        engine = open_engine(self._plan)
        probe.check(self._plan, engine)
        scoring = routes(self._plan, engine, self._config)
        info = {
            "version": str(self._plan.version),
            "label": self._plan.label,
            "engine": self._plan.engine,
            "notes": self._plan.notes,
            "ties": str(self._plan.ties),
        }
        common = {"model": self._config.model, "alias": self._config.alias}
        computed = [field.name for field in self._plan.contract.contract.computed]
        names = (route.name for route in scoring)
        metrics = Metrics(common, names, info, errors.KINDS, self._config.metrics_dir, computed=computed)
        scoring = completed(scoring, self._plan, metrics.mismatches)
        self._desk = Desk(engine, scoring, self._config, metrics, open_spool(self._plan, self._config, metrics))
        self._neighbours = Neighbours(self._plan, engine, self._desk, self._config, metrics)

    def meet(self, listener: socket.socket) -> None:
        """Answer workers of the model's other aliases too, at a Unix socket that this call owns; to be called before ``serve``."""
        self._peers = listener

    def follow(self, policy: Policy) -> None:
        """Share traffic like this from now on; may be called from any thread, at any time."""
        with self._lock:
            self._policy = policy
            if self._loop is not None:
                with contextlib.suppress(RuntimeError):  # the loop is closed
                    self._loop.call_soon_threadsafe(self._follow)

    def _follow(self) -> None:
        if self._neighbours is not None:
            self._neighbours.follow(self._policy)

    async def serve(self, listener: socket.socket, *, on_accepting: Callable[[], None]) -> None:
        """Answer requests until drained.

        Args:
            listener: a listening TCP socket; this call owns it and closes it.
            on_accepting: called once, when requests are accepted.

        Raises:
            ModelError: there is no model yet.
            UsageError: the address is not loopback and nobody is asked for a key, or a key's hash is none of ours.
        """
        if self._desk is None:
            raise ModelError("The endpoint has no model yet.", remedy="Call load() first.")
        exposure.check(listener, self._config)
        leaving = self._begin()
        self._desk.open(self._loop_of())
        self._front = front = Front(self._config, self._desk)
        listener.setblocking(False)
        with contextlib.suppress(OSError):  # 40 ms a request if the owner forgot it (Nagle and delayed ACK)
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        neighbours = self._neighbours
        assert neighbours is not None
        await neighbours.open(self._loop_of(), self._peers)
        self._follow()
        server = await self._loop_of().create_server(self._protocol(front), sock=listener, backlog=_BACKLOG)
        clock = asyncio.create_task(self._clock(front))
        try:
            on_accepting()
            await leaving.wait()
            front.drain()
            server.close()
            listener.close()
            neighbours.leave()
            await self._last_requests()
        finally:
            server.close()
            clock.cancel()
            neighbours.close()
            self._desk.close()

    def is_stuck(self) -> bool:
        """Tell whether the model is in a call that takes too long to come to an end; called on the loop."""
        return self._loop is not None and self._desk is not None and self._desk.is_stuck()

    def drain(self) -> None:
        """Begin to leave; may be called from any thread, at any time, more than once."""
        with self._lock:
            self._drained = True
            if self._loop is not None and self._leaving is not None:
                with contextlib.suppress(RuntimeError):  # the loop is closed: there is nothing left to leave
                    self._loop.call_soon_threadsafe(self._leaving.set)

    def _begin(self) -> asyncio.Event:
        with self._lock:
            self._loop = asyncio.get_running_loop()
            self._leaving = asyncio.Event()
            if self._drained:
                self._leaving.set()
            return self._leaving

    def _loop_of(self) -> asyncio.AbstractEventLoop:
        assert self._loop is not None
        return self._loop

    def _protocol(self, front: Front) -> Callable[[], asyncio.Protocol]:
        application: Any = EndpointApp(self._plan, self._config, front.desk, front.make_id)  # our own spelling of ASGI's types
        config = uvicorn.Config(
            application,
            http="httptools",
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            timeout_keep_alive=self._config.keep_alive_seconds,
        )
        config.load()
        return lambda: Connection(config, self._state, front)

    async def _clock(self, front: Front) -> None:
        """Keep the Date header and the time limits.

        uvicorn's own server would keep the first, but its way to stop closes idle connections.
        """
        tick = min(1.0, self._config.header_seconds / 4, self._config.body_seconds / 4)
        loop = self._loop_of()
        while True:
            front.tick()
            self._state.default_headers = [(b"date", front.date)]
            front.desk.tick()
            if self._neighbours is not None:
                self._neighbours.tick()
            connections: list[Any] = list(self._state.connections)
            for connection in connections:
                connection.check(loop.time())
            await asyncio.sleep(tick)

    async def _last_requests(self) -> None:
        """Wait until no connection is left; what has come is answered and told to go elsewhere."""
        if not await self._empty(self._config.drain_seconds):
            for connection in list(self._state.connections):
                connection.shutdown()  # closes what is idle; what is answering closes after its answer
            if not await self._empty(_LAST_CALL):
                log.warning("left with requests unanswered", connections=len(self._state.connections))

    def _guests(self) -> bool:
        return self._neighbours is not None and not self._neighbours.empty

    async def _empty(self, seconds: float) -> bool:
        """Tell whether no connection was left within ``seconds``; twice in a row, since one may just be accepted."""
        deadline = time.monotonic() + seconds
        quiet = 0
        while quiet < 2:
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(_TICK)
            quiet = 0 if self._state.connections or self._guests() else quiet + 1
        return True


__all__ = ["EndpointConfig", "EndpointServer"]
