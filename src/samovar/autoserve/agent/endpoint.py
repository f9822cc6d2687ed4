"""One endpoint: which worker serves, which one is on its way, which ones leave. Decides; the agent executes.

At most one version is ``current`` and one is ``candidate``. A candidate becomes current when its worker accepts; only then is the
old one asked to leave, so a version that fails never replaces one that works. All plans stay in memory until nothing needs them.
"""

from __future__ import annotations

import dataclasses
import os
import time
from typing import TYPE_CHECKING, Protocol

from samovar.autoserve import protocol
from samovar.autoserve.backoff import Backoff
from samovar.logs import get_logger

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from samovar.autoserve.plan import Key

log = get_logger(__name__)

RESTART = Backoff(first=0.2, longest=10.0)
"""Pauses between restarts of a worker that keeps dying; the first restart is immediate."""

STEADY_SECONDS = 10.0
"""A worker that lived this long died of something new: its restarts are counted from zero again."""

CRASHES = 3
"""Crashes in a row after which a newly swapped-in version is given up for the last good one."""


@dataclasses.dataclass
class Artifact:
    """A plan in sealed memory. Owns its descriptor."""

    version: int
    label: str
    origin: str
    fd: int

    def copy(self) -> Artifact:
        """Return another owner of the same memory."""
        return dataclasses.replace(self, fd=os.dup(self.fd))

    def close(self) -> None:
        """Give the memory up."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


class Worker(Protocol):
    """A worker process as the endpoint needs it."""

    pid: int
    state: protocol.WorkerState
    reason: str
    started: float

    def drain(self) -> None:
        """Ask it to leave; it is killed when it takes too long."""

    def kill(self) -> None:
        """End it now."""


class Host(Protocol):
    """What an endpoint asks of the agent."""

    def spawn(self, endpoint: Endpoint, slot: Slot) -> Worker:
        """Make a worker for a slot."""

    def later(self, delay: float, call: Callable[[], None]) -> None:
        """Call after a delay in seconds."""


@dataclasses.dataclass
class Slot:
    """A version at an endpoint, and the worker that serves it."""

    artifact: Artifact
    generation: int
    worker: Worker | None = None
    crashes: int = 0
    since: float = 0.0


class Endpoint:
    """The state of one endpoint.

    Args:
        key: model and alias.
        port: its port.
        listener: its bound socket, which the endpoint owns.
        host: the agent.
    """

    def __init__(self, key: Key, port: int, listener: socket.socket, host: Host) -> None:
        self.key = key
        self.port = port
        self.listener = listener
        self.current: Slot | None = None
        self.candidate: Slot | None = None
        self.previous: Artifact | None = None
        self.leaving: set[Worker] = set()
        self.restarts = 0
        self.failures = 0
        self.failed: int | None = None
        self.reason = ""
        self.stopping = False
        self._host = host
        self._generation = 0

    # --- what the controller asks -------------------------------------------------------------------------------------------

    def offer(self, artifact: Artifact) -> None:
        """Serve a version as soon as it proves that it can. Takes the artifact over."""
        self.cancel()
        self.failed, self.reason = None, ""
        self._generation += 1
        self.candidate = Slot(artifact, self._generation)
        self._spawn(self.candidate)

    def cancel(self) -> None:
        """Forget the version that is on its way."""
        slot, self.candidate = self.candidate, None
        if slot is not None:
            self._retire(slot)
            slot.artifact.close()

    def stop(self) -> None:
        """End: close the port and let every worker answer what it has."""
        self.stopping = True
        self.cancel()
        slot, self.current = self.current, None
        if slot is not None:
            self._retire(slot)
            slot.artifact.close()
        if self.previous is not None:
            self.previous.close()
            self.previous = None
        self.listener.close()

    # --- what happens to workers --------------------------------------------------------------------------------------------

    def adopt(self, worker: Worker, artifact: Artifact, hello: protocol.Hello) -> None:
        """Take over a worker that another agent made: of two that accept, the younger offer wins."""
        generation = hello.identity.generation
        self._generation = max(self._generation, generation)
        slot = Slot(artifact, generation, worker, since=hello.since)
        if self.stopping:
            self._retire(slot)
            artifact.close()
        elif hello.state == "accepting" and (self.current is None or self.current.generation < generation):
            self._promote(slot)
        elif hello.state == "loading" and (self.candidate is None or self.candidate.generation < generation):
            self.cancel()
            self.candidate = slot
        else:
            self._retire(slot)
            artifact.close()

    def on_accepting(self, worker: Worker) -> None:
        """A worker answers requests."""
        slot = self._slot(worker)
        if slot is None:
            return
        if slot is self.candidate:
            self.candidate = None
            slot.since = time.time()
            self._promote(slot)
        log.info(
            "serving", model=self.key.model, alias=self.key.alias, version=slot.artifact.version, port=self.port, pid=worker.pid
        )

    def on_gone(self, worker: Worker) -> None:
        """A worker's process ended."""
        if worker in self.leaving:
            self.leaving.discard(worker)
            return
        slot = self._slot(worker)
        reason = worker.reason or "Its process ended without a word (killed, or out of memory)."
        if slot is None:
            return
        slot.worker = None
        if slot is self.candidate:
            self.cancel()
            self._fail(slot, reason)
        else:
            self._revive(slot, reason, lived=time.monotonic() - worker.started)

    # --- inside -------------------------------------------------------------------------------------------------------------

    def _slot(self, worker: Worker) -> Slot | None:
        for slot in (self.candidate, self.current):
            if slot is not None and slot.worker is worker:
                return slot
        return None

    def _promote(self, slot: Slot) -> None:
        old, self.current = self.current, slot
        if old is None:
            return
        self._retire(old)
        if self.previous is not None:
            self.previous.close()
        self.previous = old.artifact

    def _revive(self, slot: Slot, reason: str, *, lived: float) -> None:
        slot.crashes = 1 if lived > STEADY_SECONDS else slot.crashes + 1
        self.restarts += 1
        log.warning("a worker died", model=self.key.model, alias=self.key.alias, version=slot.artifact.version, reason=reason)
        if slot.crashes >= CRASHES and self.previous is not None:
            # The version answered its example but cannot live: back to the one that could, from memory.
            self._fail(slot, f"It crashed {slot.crashes} times in a row. {reason}")
            last_good, self.previous = self.previous, None
            self._replace(slot, last_good)
            return
        self._host.later(RESTART.delay(slot.crashes - 1), lambda: self._respawn(slot))

    def _replace(self, slot: Slot, artifact: Artifact) -> None:
        slot.artifact.close()
        self._generation += 1
        self.current = Slot(artifact, self._generation, since=time.time())
        self._spawn(self.current)

    def _respawn(self, slot: Slot) -> None:
        if slot is self.current and slot.worker is None:
            self._spawn(slot)

    def _spawn(self, slot: Slot) -> None:
        slot.worker = self._host.spawn(self, slot)

    def _retire(self, slot: Slot) -> None:
        worker, slot.worker = slot.worker, None
        if worker is None:
            return
        self.leaving.add(worker)
        worker.drain()

    def _fail(self, slot: Slot, reason: str) -> None:
        self.failed, self.reason = slot.artifact.version, reason
        self.failures += 1
        log.warning("a version failed", model=self.key.model, alias=self.key.alias, version=slot.artifact.version, reason=reason)

    def state(self) -> protocol.EndpointState:
        """Return what the controller may know."""
        slot = self.current
        worker = slot.worker if slot is not None else None
        up = worker is not None and worker.state == "accepting"
        return protocol.EndpointState(
            model=self.key.model,
            alias=self.key.alias,
            port=self.port,
            serving=slot.artifact.version if slot else None,
            label=slot.artifact.label if slot else "",
            up=up,
            loading=self.candidate.artifact.version if self.candidate else None,
            failed=self.failed,
            failures=self.failures,
            reason=self.reason,
            pid=worker.pid if up and worker is not None else 0,
            restarts=self.restarts,
            since=slot.since if slot else 0.0,
        )
