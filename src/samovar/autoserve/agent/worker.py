"""One endpoint worker: loads a plan, serves on the inherited socket, and outlives the agent.

The main thread runs the server. A second thread keeps in touch with the agent: it reports what happens, obeys ``Drain``, and when
the agent is gone offers itself to the next one, with its socket and its plan in hand.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
import signal
import socket
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import msgspec

from samovar import logs
from samovar.autoserve import keyring, memory, peers, protocol, transport
from samovar.autoserve.agent import config as agent_config
from samovar.autoserve.agent import limits, titles
from samovar.autoserve.naming import endpoint_name
from samovar.errors import SamovarError, SettingsError
from samovar.serving import collector

if TYPE_CHECKING:
    from collections.abc import Callable

    from samovar.autoserve.agent.config import AgentConfig
    from samovar.autoserve.tuning import Tuning
    from samovar.scoring.plan import ScorerPlan
    from samovar.serving.config import EndpointConfig
    from samovar.serving.traffic.policy import Policy

log = logs.get_logger(__name__)

CALL_SECONDS = 0.1
"""Pause between two attempts to reach an agent: the bound on how long a new agent waits for its workers."""

BEAT_SECONDS = 1.0
"""Pause between two signs of life."""

FAILED, SERVED = 3, 0
_REASON = 500  # characters of a reason that travel


class UnreadablePlan(Exception):
    """The plan in memory was made by a Samovar whose plans this one does not read; it must be built again."""


@runtime_checkable
class Sharing(Protocol):
    """A server that can share its traffic with the endpoints of other aliases."""

    def meet(self, listener: socket.socket) -> None:
        """Listen for peers; called before ``serve``, which closes the socket at its end."""

    def follow(self, policy: Policy) -> None:
        """Share traffic like this from now on; called from any thread, before ``serve`` too."""


class Server(Protocol):
    """What a worker runs; ``samovar.serving.server.EndpointServer`` is one."""

    def load(self) -> None:
        """Open the model and answer its own example; raises when it cannot."""

    async def serve(self, listener: socket.socket, *, on_accepting: Callable[[], None]) -> None:
        """Serve until drained."""

    def is_stuck(self) -> bool:
        """Tell whether the model is in a call that does not end."""

    def drain(self) -> None:
        """Begin to leave; called from another thread."""


def main(order: protocol.Fork, fds: list[int], config: AgentConfig) -> int:
    """Run one worker in the calling process and return its exit code; ``fds`` are those of the order."""
    identity, (listener_fd, plan_fd, *peers_fd) = order.identity, fds
    limits.worker_wall(0, order.memory)
    name = endpoint_name(identity.model, identity.alias)
    titles.set_title(f"samovar: {identity.model}@{identity.alias} v{identity.version}")
    logs.configure(name, level=config.log_level, fmt=config.log_format, model=identity.model, alias=identity.alias)
    listener = socket.socket(fileno=listener_fd)
    met = [socket.socket(fileno=fd) for fd in peers_fd]
    tether = Tether(order, [listener, *met], plan_fd, config)
    signal.signal(signal.SIGTERM, lambda *_: tether.drain())
    tether.start()
    try:
        server = make_server(config, identity, memory.read(plan_fd), tether.keys())
        server.load()
        if isinstance(server, Sharing):
            for peers_listener in met:
                server.meet(peers_listener.dup())
            tether.following(server.follow)
        collector.settle()
    except UnreadablePlan as error:
        log.warning("the plan is of another Samovar", version=identity.version, reason=str(error))
        tether.report("failed", str(error), unreadable=True)
        return FAILED
    except Exception as error:  # noqa: BLE001 - whatever a model raises is the model's failure, and is reported as such
        reason = _reason(error, order.memory)
        log.warning("a version fails to load", version=identity.version, reason=reason)
        # Settings are the host's: its file of keys cannot be read.
        tether.report("failed", reason, host_fault=isinstance(error, SettingsError))
        return FAILED
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_serve(server, listener.dup(), tether))
    return SERVED


def _reason(error: Exception, limit: int) -> str:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, MemoryError) and limit:
            return limits.excess(limit)
        cause = cause.__cause__ or cause.__context__
    return str(error) if isinstance(error, SamovarError) else f"The model fails to load ({type(error).__name__}: {error})."


async def _serve(server: Server, listener: socket.socket, tether: Tether) -> None:
    beating = asyncio.create_task(_beat(server, tether))
    try:
        await server.serve(listener, on_accepting=lambda: tether.accepting(server.drain))
    finally:
        beating.cancel()


async def _beat(server: Server, tether: Tether) -> None:
    while True:
        if not server.is_stuck():  # else whoever watches takes it for hanging, which it does
            tether.beat()
        await asyncio.sleep(BEAT_SECONDS)


def make_server(config: AgentConfig, identity: protocol.Identity, plan: bytes, keys: tuple[str, ...]) -> Server:
    """Build the server that ``config.entry`` names."""
    module, _, attribute = config.entry.partition(":")
    entry: Any = getattr(importlib.import_module(module), attribute)
    server: Server = entry(_decoded(plan, identity.model), endpoint_config(config, identity, keys))
    return server


def endpoint_config(config: AgentConfig, identity: protocol.Identity, keys: tuple[str, ...]) -> EndpointConfig:
    """Return what all endpoints are told, and what is this one's: its name, the keys of now, and its own folders."""
    name = endpoint_name(identity.model, identity.alias)
    told = config.endpoint
    return msgspec.structs.replace(
        told,
        model=identity.model,
        alias=identity.alias,
        keys=keys,
        spool_dir=str(Path(told.spool_dir, name)) if told.spool_dir else "",
        metrics_dir=str(Path(told.metrics_dir, name)) if told.metrics_dir else "",
    )


def _decoded(plan: bytes, model: str) -> ScorerPlan:
    """Read a plan; it may have been built before its registered model was renamed."""
    from samovar.scoring.plan import decode  # noqa: PLC0415 - imported in the worker, already loaded by the zygote

    try:
        return msgspec.structs.replace(decode(plan), model=model)
    except ValueError as error:
        raise UnreadablePlan(str(error)) from None


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        return importlib.import_module("uvloop").new_event_loop  # type: ignore[no-any-return]
    except ImportError:
        return asyncio.new_event_loop


class Tether:
    """A worker's line to the agent, whichever agent there is.

    Args:
        order: which worker it is, and how it shall serve.
        listeners: its listening sockets, TCP first, handed to the agent that adopts it.
        plan_fd: its plan, handed over likewise.
        config: the agent's; says where its socket is.
    """

    def __init__(self, order: protocol.Fork, listeners: list[socket.socket], plan_fd: int, config: AgentConfig) -> None:
        self._identity = order.identity
        self._fds = [listeners[0].fileno(), plan_fd, *(listener.fileno() for listener in listeners[1:])]
        self._listeners = listeners
        self._tuning = order.tuning
        self._follow: Callable[[Policy], None] | None = None
        self._run_dir = Path(config.run_dir)
        # Read before the first call, which says which keys these are.
        self._keys = keyring.Ring.read(Path(config.keys_file)) if config.keys_file else keyring.NOBODY
        self._lock = threading.RLock()  # a signal may ask to drain while the main thread reports
        self._line: socket.socket | None = None
        self._state: protocol.WorkerState = "loading"
        self._since = 0.0
        self._drain: Callable[[], None] | None = None
        self._leaving = False
        self._inherited = limits.unfiled(os.getpid())

    def start(self) -> None:
        """Call the agent, and again whenever the line breaks."""
        # The first call is made before anything can fail, so that every failure is heard.
        self._call()
        threading.Thread(target=self._keep, name="tether", daemon=True).start()

    def keys(self) -> tuple[str, ...]:
        """Return the hashes of the keys that are asked for; raises ``SettingsError`` when their file cannot be read."""
        return self._keys.hashes()

    def report(self, state: protocol.WorkerState, reason: str = "", *, unreadable: bool = False, host_fault: bool = False) -> None:
        """Tell the agent; when there is none, the next one learns it from the greeting."""
        with self._lock:
            self._state = state
            if state == "accepting":
                self._since = time.time()
            if self._line is not None:
                with contextlib.suppress(OSError):
                    changed = protocol.Changed(state, reason[:_REASON], unreadable, host_fault)
                    transport.send(self._line, protocol.encode(changed))

    def beat(self) -> None:
        """Tell the agent that the event loop turns; called on that loop, so it never waits."""
        if not self._lock.acquire(blocking=False):
            return
        try:
            if self._line is not None:
                with contextlib.suppress(OSError):  # an agent that is stopped reads nothing: this beat is lost, and does no harm
                    transport.send(self._line, protocol.encode(protocol.Beat()), wait=False)
        finally:
            self._lock.release()

    def accepting(self, drain: Callable[[], None]) -> None:
        """Tell the agent that requests are answered from now on; ``drain`` makes the server leave."""
        self._drain = drain
        self.report("accepting")

    def following(self, follow: Callable[[Policy], None]) -> None:
        """Have the server told how to share its traffic, now and whenever it changes."""
        with self._lock:
            self._follow = follow
            self._share()

    def _tune(self, tuning: Tuning) -> None:
        with self._lock:
            self._tuning = tuning
            self._share()

    def _share(self) -> None:
        if self._follow is not None:
            self._follow(peers.policy(self._run_dir, self._identity.model, self._tuning))

    def drain(self) -> None:
        """Leave: answer what has come, and end. A worker that does not serve yet has nothing to answer."""
        self._leaving = True
        self._release()
        if self._drain is None:
            os._exit(SERVED)
        self.report("draining")
        self._drain()

    def _release(self) -> None:
        # Our copy must not keep the port open once agent and server have closed theirs.
        for listener in self._listeners:
            with contextlib.suppress(OSError):
                listener.close()

    def _keep(self) -> None:
        while True:
            self._listen()
            with self._lock:
                self._line = None
            while not self._call():
                if self._abandoned():
                    log.info("no agent will come back; leaving")
                    self.drain()
                    return
                time.sleep(CALL_SECONDS)

    def _call(self) -> bool:
        try:
            line = transport.connect(self._run_dir / agent_config.SOCKET, timeout=None)
        except OSError:
            return False
        with self._lock:
            hello = protocol.Hello(
                self._identity,
                self._state,
                self._since,
                beats=True,
                tuning=self._tuning,
                keys=self._keys.digest,
                inherited=self._inherited,
            )
            try:
                # One that leaves has nothing to hand over: it is only watched until it is gone.
                transport.send(line, protocol.encode(hello), [] if self._leaving else self._fds)
            except OSError:
                line.close()
                return False
            self._line = line
        return True

    def _listen(self) -> None:
        line = self._line
        while line is not None:
            try:
                packet, fds = transport.receive(line)
            except OSError:
                packet, fds = b"", []
            transport.close_all(fds)
            if not packet:
                line.close()
                return
            with contextlib.suppress(msgspec.DecodeError):  # a later Samovar's agent may say more than we understand
                message = protocol.decode(packet)
                if isinstance(message, protocol.Drain):
                    self.drain()
                elif isinstance(message, protocol.Tune):
                    self._tune(message.tuning)

    def _abandoned(self) -> bool:
        return not self._leaving and (not self._run_dir.is_dir() or (self._run_dir / agent_config.STOP_FILE).exists())
