"""Runs what falls due: ``python -m samovar.stack.scheduler``.

An open retrain request is worked on within seconds; every project that has data is monitored now and then. Each step is a
``samovar`` command of its own, so that its memory goes back when it ends, and this process stays small. A step claims its work in
the database: a second scheduler, or a person at the same command, does no harm.

What endpoints log is shipped every few seconds by a thread of this process: a command would take longer to start than the work
takes, and a retrain must not hold it up.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

from samovar import logs, workspace
from samovar import settings as settings_module
from samovar.errors import SamovarError, StoreUnavailable
from samovar.pipelines import ship
from samovar.stack.services import SCHEDULER_BEAT
from samovar.store import datasets, retrains
from samovar.store.database import open_database

if TYPE_CHECKING:
    from samovar.settings import Settings
    from samovar.store.database import Database

_log = logs.get_logger(__name__)
_BEAT_SECONDS = 1.0
_KILL_SECONDS = 3.0
_FIRST_RETRY_SECONDS = 10.0
_LONGEST_RETRY_SECONDS = 600.0


class Scheduler:
    """Looks for due work and runs it, one step at a time.

    Args:
        settings: intervals, database, run folder.
        command: how to call the ``samovar`` command.
    """

    def __init__(self, settings: Settings, command: tuple[str, ...] = (sys.executable, "-m", "samovar")) -> None:
        self._settings = settings
        self._command = command
        self._stop = threading.Event()
        self._beat = settings.run_dir / SCHEDULER_BEAT
        self._database: Database | None = None
        self._monitor_at = time.monotonic() + settings.monitor_seconds
        self._retries: dict[int, tuple[int, float]] = {}

    def stop(self) -> None:
        """End soon; a step that runs is ended too, and goes on where it was when it is run again."""
        self._stop.set()

    def serve(self) -> None:
        """Run until stopped."""
        shipping = threading.Thread(target=self._ship, name="ship", daemon=True)
        shipping.start()
        while not self._stop.is_set():
            if self._settings.orchestrator == "internal":
                self._tick()
            self._pause(self._settings.retrain_poll_seconds)
        shipping.join(_KILL_SECONDS)  # killed in the middle of a file, it is shipped again from its start

    def _ship(self) -> None:
        """Ship what endpoints logged, whoever orchestrates the rest: they write on this host."""
        database: Database | None = None
        while not self._stop.wait(self._settings.ship_seconds):
            try:
                database = database or open_database(self._settings)
                ship.ship(database, self._settings.spool_folder, keep_days=self._settings.prediction_log_days)
            except SamovarError as error:
                _log.warning("the prediction log is not shipped", reason=str(error))
                database = None
            except Exception:  # noqa: BLE001 - a thread that ends here would do so unseen
                _log.exception("the prediction log is not shipped")

    def _tick(self) -> None:
        try:
            self._retrain()
            if time.monotonic() >= self._monitor_at:
                self._monitor_at = time.monotonic() + self._settings.monitor_seconds
                self._monitor()
        except StoreUnavailable as error:
            _log.warning("database cannot be reached", reason=str(error))
            self._database = None
        except SamovarError as error:
            _log.warning("nothing can be scheduled", reason=str(error))

    def _retrain(self) -> None:
        """Work on every request that nobody works on; one whose step fails waits longer each time."""
        with self._open().read() as connection:
            free = [request for request in retrains.list_(connection) if retrains.is_free(request)]
        for request in free:
            failures, not_before = self._retries.get(request.id, (0, 0.0))
            if self._stop.is_set() or time.monotonic() < not_before:
                continue
            if self._run("retrain", request.project):
                self._retries.pop(request.id, None)
            else:
                wait = min(_FIRST_RETRY_SECONDS * 2**failures, _LONGEST_RETRY_SECONDS)
                self._retries[request.id] = (failures + 1, time.monotonic() + wait)

    def _monitor(self) -> None:
        with self._open().read() as connection:
            due = [name for name in workspace.entries() if datasets.latest(connection, name) is not None]
        for name in due:
            if not self._stop.is_set():
                self._run("monitor", name)

    def _open(self) -> Database:
        if self._database is None:
            self._database = open_database(self._settings)
        return self._database

    def _run(self, step: str, project: str) -> bool:
        """Run one step to its end; its output goes to this process's log."""
        began = time.monotonic()
        process = subprocess.Popen([*self._command, step, project], stdin=subprocess.DEVNULL)
        while process.poll() is None and not self._stop.is_set():
            self._touch()
            self._wait(process, _BEAT_SECONDS)
        if process.poll() is None:
            process.terminate()
            if not self._wait(process, _KILL_SECONDS):
                process.kill()
        code = process.wait()
        _log.info("ran", step=step, subject=project, exit_code=code, seconds=round(time.monotonic() - began, 1))
        return code == 0

    @staticmethod
    def _wait(process: subprocess.Popen[bytes], seconds: float) -> bool:
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _pause(self, seconds: float) -> None:
        """Wait, and go on beating."""
        until = time.monotonic() + seconds
        while not self._stop.is_set() and (left := until - time.monotonic()) > 0:
            self._touch()
            self._stop.wait(min(left, _BEAT_SECONDS))

    def _touch(self) -> None:
        """Show that this process lives; without a run folder there is no stack to live for."""
        try:
            self._beat.touch(mode=0o600)
        except OSError:
            self._stop.set()


def main() -> int:
    """Run the scheduler of this stack; returns the exit code."""
    settings = settings_module.get()
    logs.configure("scheduler", level=settings.log_level, fmt=settings.log_format)
    scheduler = Scheduler(settings)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: scheduler.stop())
    scheduler.serve()
    return 0


if __name__ == "__main__":
    os.umask(0o077)
    sys.exit(main())
