"""One endpoint: which version serves, which one is on its way, which workers leave. Decides; the agent executes.

At most one version is ``current`` and one is ``candidate``. A candidate becomes current when all its workers accept; only then the
old ones are asked to leave, so a version that fails never replaces one that works. All plans stay in memory until nothing needs
them.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

from samovar.autoserve import protocol
from samovar.autoserve.agent import limits
from samovar.autoserve.agent.slots import Artifact, Slot
from samovar.autoserve.backoff import Backoff
from samovar.autoserve.tuning import PLAIN
from samovar.logs import get_logger

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from samovar.autoserve.agent.slots import Worker
    from samovar.autoserve.plan import Key
    from samovar.autoserve.tuning import Tuning

log = get_logger(__name__)

RESTART = Backoff(first=0.2, longest=10.0)
"""Pauses between restarts of a worker that keeps dying; the first restart is immediate."""

STEADY_SECONDS = 10.0
"""A worker that lived this long died of something new: its restarts are counted from zero again."""

CRASHES = 3
"""Crashes in a row after which a newly swapped-in version is given up for the last good one."""


_FRESH_SECONDS = 600.0
"""How long the last death of a worker is told."""


class Host(Protocol):
    """What an endpoint asks of the agent."""

    @property
    def workers(self) -> int:
        """How many workers serve an endpoint that says no number of its own."""

    def spawn(self, endpoint: Endpoint, slot: Slot) -> Worker:
        """Make a worker for a slot."""

    def later(self, delay: float, call: Callable[[], None]) -> None:
        """Call after a delay in seconds."""


class Endpoint:
    """The state of one endpoint.

    Args:
        key: model and alias.
        port: its port.
        listener: its bound socket, which the endpoint owns.
        host: the agent.
        peers: the socket where workers of other aliases meet its own, which the endpoint owns.
    """

    def __init__(self, key: Key, port: int, listener: socket.socket, host: Host, peers: socket.socket | None = None) -> None:
        self.key = key
        self.port = port
        self.listener = listener
        self.peers = peers
        self.current: Slot | None = None
        self.candidate: Slot | None = None
        self.renewal: Slot | None = None
        self.previous: Artifact | None = None
        self.leaving: set[Worker] = set()
        self.restarts = 0
        self.failures = 0
        self.failed: int | None = None
        self.reason = ""
        self.crashed = False
        self.host_fault = False
        self.stopping = False
        self.tuning = PLAIN
        self._host = host
        self._generation = 0
        self._renewals = 0  # that failed in a row
        self._renew_at = 0.0
        self._died = 0.0
        self._death = ""

    @property
    def workers(self) -> int:
        """How many workers serve this endpoint."""
        return self.tuning.workers or self._host.workers

    # --- what the controller asks -------------------------------------------------------------------------------------------

    def offer(self, artifact: Artifact) -> None:
        """Serve a version as soon as it proves that it can. Takes the artifact over."""
        self.cancel()
        self.failed, self.reason, self.crashed, self.host_fault = None, "", False, False
        self._generation += 1
        self.candidate = Slot(artifact, self._generation)
        self._fill(self.candidate)

    def has(self, request: protocol.Serve) -> bool:
        """Whether the version asked for is on its way, or answers and no other is on its way: nothing is to be done then."""
        slot = self.candidate or self.current
        return slot is not None and bool(slot.workers) and slot.artifact.answers(request)

    def renew(self, keys: str) -> None:
        """Replace workers that know other API keys than these by workers of the same version. Asked for until there are none.

        A version on its way is left alone: its workers read the keys when they are born.
        """
        slot = self.current
        if slot is None or self.renewal is not None or time.monotonic() < self._renew_at:
            return
        if any(worker.keys != keys for worker in slot.accepting()):
            self.renewal = Slot(slot.artifact.copy(), slot.generation)
            self._fill(self.renewal)

    def tune(self, tuning: Tuning) -> None:
        """Serve in another way from now on: the workers are told, and made more or fewer."""
        self.tuning = tuning
        for slot in self._slots():
            if slot not in self._slots():
                continue  # another one took its place
            for worker in slot.workers:
                worker.tune(tuning)
            self._trim(slot)
            self._fill(slot)
            self._advance(slot)

    def cancel(self) -> None:
        """Forget the version that is on its way."""
        slot, self.candidate = self.candidate, None
        if slot is not None:
            self._drop(slot)

    def stop(self) -> None:
        """End: close the port and let every worker answer what it has."""
        self.stopping = True
        self.cancel()
        self._end_renewal()
        slot, self.current = self.current, None
        if slot is not None:
            self._drop(slot)
        if self.previous is not None:
            self.previous.close()
            self.previous = None
        self.listener.close()
        if self.peers is not None:
            self.peers.close()

    @property
    def fds(self) -> list[int]:
        """The descriptors of its sockets, the TCP one first."""
        return [self.listener.fileno()] + ([self.peers.fileno()] if self.peers is not None else [])

    # --- what happens to workers --------------------------------------------------------------------------------------------

    def adopt(self, worker: Worker, artifact: Artifact, hello: protocol.Hello) -> None:
        """Take over a worker that another agent made: of two offers whose workers accept, the younger wins."""
        generation = hello.identity.generation
        if hello.tuning != PLAIN:
            self.tuning = hello.tuning
        self._generation = max(self._generation, generation)
        slot = next((slot for slot in (self.current, self.candidate) if slot is not None and slot.generation == generation), None)
        if slot is None or self.stopping:
            slot = Slot(artifact, generation, since=hello.since)
        else:
            artifact.close()
        slot.workers.append(worker)
        if slot is self.current:
            pass
        elif self.stopping:
            self._drop(slot)
        elif hello.state == "accepting" and (self.current is None or self.current.generation < generation):
            if slot is self.candidate:
                self.candidate = None
            self._promote(slot)
        elif slot is not self.candidate and hello.state == "loading" and self._younger(generation):
            self.cancel()
            self.candidate = slot
        elif slot is not self.candidate:
            self._drop(slot)
        self._trim(slot)

    def complete(self) -> None:
        """Make up for workers that are missing, after all that an earlier agent left were adopted."""
        self.tune(self.tuning)

    def on_accepting(self, worker: Worker) -> None:
        """A worker answers requests."""
        slot = self._slot(worker)
        if slot is None:
            return
        self._advance(slot)
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
        slot.workers.remove(worker)
        if slot is self.renewal:
            self._renewals += 1
            self._renew_at = time.monotonic() + RESTART.delay(self._renewals)
            log.warning("a worker that knows the keys of now fails", model=self.key.model, alias=self.key.alias, reason=reason)
            self._end_renewal()
        elif slot is self.candidate:
            self.cancel()
            self._fail(slot, reason, host_fault=worker.host_fault)
        elif worker.unreadable:
            self._outdated(slot, reason)
        else:
            self._revive(slot, reason, lived=time.monotonic() - worker.started, host_fault=worker.host_fault)

    # --- inside -------------------------------------------------------------------------------------------------------------

    def _slot(self, worker: Worker) -> Slot | None:
        return next((slot for slot in self._slots() if worker in slot.workers), None)

    def _slots(self) -> list[Slot]:
        return [slot for slot in (self.current, self.candidate, self.renewal) if slot is not None]

    def _advance(self, slot: Slot) -> None:
        """Let a slot take the place that it was made for, once all its workers answer."""
        if len(slot.accepting()) < self.workers:
            return
        if slot is self.candidate:
            self.candidate = None
            slot.since = time.time()
            self._promote(slot)
        elif slot is self.renewal and self.current is not None:
            self._retire(self.current)
            self.current.workers, slot.workers = slot.workers, []
            self._renewals = 0
            self._end_renewal()

    def _end_renewal(self) -> None:
        slot, self.renewal = self.renewal, None
        if slot is not None:
            self._drop(slot)

    def _younger(self, generation: int) -> bool:
        """Whether an offer is younger than the one on its way."""
        return self.candidate is None or self.candidate.generation < generation

    def _promote(self, slot: Slot) -> None:
        old, self.current = self.current, slot
        self._death = ""
        self._end_renewal()
        if old is None:
            return
        self._retire(old)
        # The same version anew is not what the endpoint would go back to.
        kept, given_up = (
            (old.artifact, self.previous) if old.artifact.origin != slot.artifact.origin else (self.previous, old.artifact)
        )
        if given_up is not None:
            given_up.close()
        self.previous = kept

    def _revive(self, slot: Slot, reason: str, *, lived: float, host_fault: bool = False) -> None:
        slot.crashes = 1 if lived > STEADY_SECONDS else slot.crashes + 1
        self.restarts += 1
        self._died, self._death = time.monotonic(), f"A worker of v{slot.artifact.version} died. {reason}"
        log.warning("a worker died", model=self.key.model, alias=self.key.alias, version=slot.artifact.version, reason=reason)
        if slot.crashes >= CRASHES and self.previous is not None and not host_fault:
            # The version answered its example but cannot live: back to the one that could, from memory.
            self._fail(slot, f"It crashed {slot.crashes} times in a row. {reason}", crashed=True)
            last_good, self.previous = self.previous, None
            self._replace(slot, last_good)
            return
        if slot.crashes % CRASHES == 0:
            # Nothing to go back to here; the controller may know of a version that lived on another host.
            told = f"It crashed {slot.crashes} times in a row. {reason}"
            self._fail(slot, told, crashed=not host_fault, host_fault=host_fault)
        self._host.later(RESTART.delay(slot.crashes - 1), lambda: self._respawn(slot))

    def _outdated(self, slot: Slot, reason: str) -> None:
        """Give up a plan that no worker of this Samovar reads: without one that serves, the controller brings a new plan."""
        log.warning("a plan must be built again", model=self.key.model, alias=self.key.alias, reason=reason)
        if not slot.workers:
            self.current = None
            self._end_renewal()
            slot.artifact.close()

    def _replace(self, slot: Slot, artifact: Artifact) -> None:
        self._drop(slot)
        self._end_renewal()
        self._generation += 1
        self.current = Slot(artifact, self._generation, since=time.time())
        self._fill(self.current)

    def _respawn(self, slot: Slot) -> None:
        if slot is self.current and len(slot.workers) < self.workers:
            slot.workers.append(self._host.spawn(self, slot))

    def _fill(self, slot: Slot) -> None:
        while len(slot.workers) < self.workers:
            slot.workers.append(self._host.spawn(self, slot))

    def _trim(self, slot: Slot) -> None:
        """Let workers leave that are too many, those first that do not answer."""
        for worker in sorted(slot.workers, key=lambda worker: worker.state == "accepting")[
            : max(0, len(slot.workers) - self.workers)
        ]:
            self._leave(slot, worker)

    def _retire(self, slot: Slot) -> None:
        for worker in list(slot.workers):
            self._leave(slot, worker)

    def _leave(self, slot: Slot, worker: Worker) -> None:
        slot.workers.remove(worker)
        self.leaving.add(worker)
        worker.drain()

    def _drop(self, slot: Slot) -> None:
        self._retire(slot)
        slot.artifact.close()

    def _fail(self, slot: Slot, reason: str, *, crashed: bool = False, host_fault: bool = False) -> None:
        self.failed, self.reason, self.crashed, self.host_fault = slot.artifact.version, reason, crashed, host_fault
        self.failures += 1
        log.warning("a version failed", model=self.key.model, alias=self.key.alias, version=slot.artifact.version, reason=reason)

    @property
    def artifacts(self) -> list[Artifact]:
        """The plans that it keeps in memory."""
        return [slot.artifact for slot in self._slots()] + ([self.previous] if self.previous is not None else [])

    def state(self) -> protocol.EndpointState:
        """Return what the controller may know."""
        slot = self.current
        pids = tuple(worker.pid for worker in slot.accepting()) if slot else ()
        artifact = slot.artifact if slot else None
        return protocol.EndpointState(
            model=self.key.model,
            alias=self.key.alias,
            port=self.port,
            serving=artifact.version if artifact else None,
            label=artifact.label if artifact else "",
            up=bool(pids),
            loading=self.candidate.artifact.version if self.candidate else None,
            failed=self.failed,
            failures=self.failures,
            reason=self.reason,
            pid=pids[0] if pids else 0,
            restarts=self.restarts,
            since=slot.since if slot else 0.0,
            engine=artifact.engine if artifact else "",
            format=artifact.format if artifact else 0,
            notes=artifact.notes if artifact else "",
            pids=pids,
            host=str(self.listener.getsockname()[0]),
            tuning=self.tuning,
            warnings=self._warnings(),
            environments=tuple(sorted({artifact.environment for artifact in self.artifacts if artifact.environment})),
            crashed=self.crashed,
            origin=artifact.origin if artifact else "",
            host_fault=self.host_fault,
        )

    def _warnings(self) -> tuple[str, ...]:
        died = [self._death] if self._death and time.monotonic() - self._died < _FRESH_SECONDS else []
        return (*died, *limits.cpu_remarks(self.tuning.cpus))
