"""Keeps the services of a stack running, and the guardian too: ``python -m samovar.stack.supervisor RUN_DIR``.

It reads ``plan.json`` and needs nothing else: no settings, no MLflow. A supervisor that was killed is started again by the
guardian and adopts what runs.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from samovar import logs
from samovar.stack import ports, processes, shutdown
from samovar.stack.backoff import Backoff
from samovar.stack.keeping import ServiceKeeper, ended
from samovar.stack.launch import start_keeper
from samovar.stack.state import RunDir, ServiceState

if TYPE_CHECKING:
    from samovar.stack.state import Plan

_log = logs.get_logger(__name__)
_LOCK_SECONDS = 5.0
_LOOK_SECONDS = 1.0


class Supervisor:
    """Runs one keeper task for each service and one for the guardian, until a signal asks it to stop."""

    def __init__(self, run: RunDir, plan: Plan) -> None:
        self._run = run
        self._plan = plan
        self._state = run.state()

    async def serve(self) -> None:
        """Keep everything running; return once a signal or the run folder asks for the end."""
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        loop.add_signal_handler(signal.SIGCHLD, self._reap_strays)
        tasks = [asyncio.create_task(self._keep_guardian()), asyncio.create_task(self._hold_ports())]
        for service in self._plan.services:
            state = self._state.services.setdefault(service.name, ServiceState())
            tasks.append(asyncio.create_task(ServiceKeeper(service, self._plan, state, self._write).run()))
        tasks += [asyncio.create_task(_set(stop)), asyncio.create_task(self._until_ending())]
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        for task in done:
            task.result()  # a keeper that broke is a defect: end with its trace, the guardian starts another supervisor

    async def _keep_guardian(self) -> None:
        backoff = Backoff()
        while True:
            written = self._run.keeper("guardian")
            descriptor = None if written is None else written.identity.open()
            if descriptor is None:
                if self._run.ending(self._plan):
                    return
                descriptor = start_keeper("guardian", self._plan, self._run.path).open()
            began = asyncio.get_running_loop().time()
            if descriptor is not None:
                await ended(descriptor)
            self._reap_strays()
            await asyncio.sleep(backoff.after(asyncio.get_running_loop().time() - began))

    async def _hold_ports(self) -> None:
        """Take over the reservations of ``samovar up``, which holds them until the services listen."""
        held: dict[int, object] = {}
        while True:
            for port in self._plan.ports:
                mark = None if port in held else ports.reserve(port)
                if mark is not None:
                    held[port] = mark
            await asyncio.sleep(_LOOK_SECONDS)

    async def _until_ending(self) -> None:
        while not self._run.ending(self._plan):  # noqa: ASYNC110 - no event comes from a file
            await asyncio.sleep(_LOOK_SECONDS)

    def _reap_strays(self) -> None:
        known = [one.identity.pid for one in self._state.services.values() if one.identity is not None]
        processes.reap_strays(known)

    def _write(self) -> None:
        self._run.write_state(self._state)


async def _set(event: asyncio.Event) -> None:
    await event.wait()


def main(run_dir: Path) -> int:
    """Run until told to stop, then stop every service; returns the exit code."""
    logs.configure("supervisor")
    run = RunDir(run_dir)
    plan = run.plan()
    if plan is None or run.ending(plan):
        return 0
    with run.lock("supervisor", _LOCK_SECONDS) as alone:
        if not alone:
            _log.error("another supervisor runs")
            return 1
        processes.become_subreaper()
        run.enter("supervisor")
        asyncio.run(Supervisor(run, plan).serve())
        if run.belongs_to(plan):
            run.ask_to_stop()
        shutdown.stop_services(run, plan)
        processes.reap_strays(())  # not every machine has an init that collects what is left to it
    return 0


if __name__ == "__main__":
    os.umask(0o077)
    sys.exit(main(Path(sys.argv[1])))
