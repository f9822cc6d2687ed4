"""Keeps the supervisor running: ``python -m samovar.stack.guardian RUN_DIR``.

It does so little that nothing but a signal ends it. When that happens, the supervisor starts another one, which watches over the
supervisor it finds.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from pathlib import Path

from samovar.stack import processes, shutdown
from samovar.stack.backoff import Backoff
from samovar.stack.launch import start_keeper
from samovar.stack.state import Plan, RunDir

_LOCK_SECONDS = 5.0


class Guardian:
    """Starts the supervisor and starts it again whenever it ends unasked."""

    def __init__(self, run: RunDir, plan: Plan) -> None:
        self._run = run
        self._plan = plan
        self._wake, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: run.ask_to_stop())

    def serve(self) -> None:
        """Return once the stack was asked to stop and the supervisor is gone, or the guardian itself was asked."""
        backoff = Backoff()
        while not self._run.ending(self._plan):
            began = time.monotonic()
            self._watch(self._supervisor())
            if not self._run.ending(self._plan):
                time.sleep(backoff.after(time.monotonic() - began))

    def _supervisor(self) -> processes.Identity:
        written = self._run.keeper("supervisor")
        if written is not None and written.identity.alive:
            return written.identity
        return start_keeper("supervisor", self._plan, self._run.path)

    def _watch(self, identity: processes.Identity) -> None:
        """Wait until the supervisor has ended or the stack was asked to stop; collect orphans meanwhile."""
        descriptor = identity.open()
        if descriptor is None:
            processes.reap(identity.pid)
            return
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        poll.register(self._wake, select.POLLIN)
        while not self._run.ending(self._plan) and descriptor not in dict(poll.poll()):
            self._drain()
        processes.reap_strays(())
        os.close(descriptor)

    def _drain(self) -> None:
        os.read(self._wake, 4096)
        processes.reap_strays(())


def main(run_dir: Path) -> int:
    """Guard until told to stop, then leave nothing behind; returns the exit code."""
    run = RunDir(run_dir)
    plan = run.plan()
    if plan is None or run.ending(plan):
        return 0
    with run.lock("guardian", _LOCK_SECONDS) as alone:
        if not alone:
            return 1
        processes.become_subreaper()
        run.enter("guardian")
        Guardian(run, plan).serve()
        shutdown.stop_everything(run, plan)
        processes.reap_strays(())  # not every machine has an init that collects what is left to it
    return 0


if __name__ == "__main__":
    os.umask(0o077)
    sys.exit(main(Path(sys.argv[1])))
