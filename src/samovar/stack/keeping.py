"""Keeps one service running: adopt or start it, watch it through its pidfd, probe it, start it again when it ends."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from typing import TYPE_CHECKING

from samovar import logs
from samovar.stack import probes, processes
from samovar.stack.backoff import Backoff
from samovar.stack.launch import start

if TYPE_CHECKING:
    from collections.abc import Callable

    from samovar.stack.processes import Identity
    from samovar.stack.state import Health, Plan, Service, ServiceState

START_SECONDS = 120.0
"""A service that is not well this long after its start hangs, and is killed."""
PATIENCE_SECONDS = 60.0
"""So does one that was well and has answered no probe for this long."""
_PROBE_SECONDS = {"starting": 0.1, "healthy": 2.0, "unhealthy": 0.5}

_log = logs.get_logger(__name__)


async def ended(descriptor: int) -> None:
    """Return once the process behind a pidfd has ended, and close the descriptor."""
    loop, event = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(descriptor, event.set)
    try:
        await event.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


class ServiceKeeper:
    """Keeps one service running until the task is cancelled; the service itself is then left alone.

    Args:
        service: what to run.
        plan: the stack it belongs to.
        state: what is known about it; changed in place.
        changed: called after each change of ``state``.
    """

    def __init__(self, service: Service, plan: Plan, state: ServiceState, changed: Callable[[], None]) -> None:
        self._service = service
        self._plan = plan
        self._state = state
        self._changed = changed
        self._backoff = Backoff()
        self._well_since: float | None = None

    async def run(self) -> None:
        """Adopt or start the service, then start it again whenever it ends."""
        first = self._state.identity is None
        descriptor = self._adopt()
        if descriptor is None and first:
            descriptor = self._start()
        while True:
            if descriptor is not None:
                await self._watch(descriptor)
            well = 0.0 if self._well_since is None else time.monotonic() - self._well_since
            await asyncio.sleep(self._backoff.after(well))
            self._state.restarts += 1
            descriptor = self._start()

    def _adopt(self) -> int | None:
        """Take over the process that an earlier supervisor started, whether or not it had time to write it down."""
        for identity in filter(None, (self._state.identity, *self._unwritten())):
            descriptor = identity.open()
            if descriptor is not None:
                _log.info("adopted", name=self._service.name, pid=identity.pid)
                self._state.identity = identity
                self._changed()
                return descriptor
        if self._state.identity is not None:
            self._clear_away(self._state.identity)
        return None

    def _unwritten(self) -> list[Identity]:
        """Processes that some supervisor started as this service, by their marks and command line.

        A service may have named itself ``samovar: NAME`` since. What it started in turn differs in its command line, and a fork
        of it leads no session.
        """
        names = (self._service.argv, (f"samovar: {self._service.name}",))
        running = processes.marked(self._plan.stack)
        return [one for one, service in running.items() if service == self._service.name and processes.leads(one.pid, names)]

    def _start(self) -> int | None:
        self._well_since = None
        try:
            identity = start(self._service, self._plan)
        except OSError as error:
            self._state.last_exit = f"cannot be started: {error.strerror}"
            self._become("restarting")
            return None
        self._state.identity = identity
        self._become("starting")
        return identity.open()

    async def _watch(self, descriptor: int) -> None:
        identity = self._state.identity
        assert identity is not None
        prober = asyncio.create_task(self._probe(identity))
        try:
            await ended(descriptor)
        finally:
            prober.cancel()
        self._clear_away(identity)
        self._become("restarting")
        _log.warning("ended", name=self._service.name, pid=identity.pid, how=self._state.last_exit)

    def _clear_away(self, identity: Identity) -> None:
        """Kill what the process left in its group: it would hold the port.

        The leader is collected afterwards, since as a zombie it keeps others from getting its pid in between.
        """
        processes.kill_group(identity, self._plan.stack)
        self._state.last_exit = processes.reap(identity.pid) or "ended (not seen how)"

    async def _probe(self, identity: Identity) -> None:
        """Probe for ever; kill the service's process when it hangs, so that it is started again."""
        loop, last_well = asyncio.get_running_loop(), time.monotonic()
        while True:
            well = await loop.run_in_executor(None, probes.healthy, self._service.probe)
            now = time.monotonic()
            if well:
                last_well = now
                self._well_since = now if self._well_since is None else self._well_since
                self._become("healthy")
            elif self._well_since is not None:
                self._become("unhealthy")
            if now - last_well > (START_SECONDS if self._well_since is None else PATIENCE_SECONDS):
                _log.error("hangs", name=self._service.name, pid=identity.pid)
                identity.signal(signal.SIGKILL)
            await asyncio.sleep(_PROBE_SECONDS.get(self._state.health, 0.5))

    def _become(self, health: Health) -> None:
        if self._state.health != health or health == "starting":
            self._state.health = health
            self._state.changed = time.time()
            self._changed()
