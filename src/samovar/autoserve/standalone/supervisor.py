"""The first process of a container: keeps the workers alive, buries every orphan, and lets them leave without losing a request."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import msgspec

from samovar.autoserve import memory
from samovar.autoserve.backoff import Backoff
from samovar.autoserve.standalone import codes
from samovar.logs import get_logger
from samovar.scoring.builder import environment
from samovar.scoring.plan import encode

if TYPE_CHECKING:
    import socket

    from samovar.autoserve.standalone.options import Told
    from samovar.scoring.plan import ScorerPlan

log = get_logger(__name__)

BACKOFF = Backoff(first=0.1, longest=30.0)
"""Seconds before a worker that crashes comes back. The first crash may be one bad request: it is not waited out."""

STEADY_SECONDS = 60.0
"""A worker that lived so long has its slot's earlier crashes forgiven."""

_PATIENCE = 3
"""Crashes of a version that never answered, before it is given up."""

_SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGCHLD})
_TICK = 1.0
_LAST_CALL = 5.0  # seconds over the drain's own time before workers are killed


class _Slot:
    """One worker and its history."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        self.beats = -1
        self.born = self.heard = self.wait_until = 0.0
        self.served = False
        self.crashes = 0


class Supervisor:
    """Runs the workers of one endpoint.

    Args:
        plan: what they serve; kept in a sealed memory file, so that a worker comes back without MLflow.
        told: what they are told.
        listener: bound socket that they share.
        count: how many.
        hang_seconds: a worker that served and then shows no sign of life for so long is replaced.
    """

    def __init__(self, plan: ScorerPlan, told: Told, listener: socket.socket, count: int, hang_seconds: float) -> None:
        self._plan_fd = memory.seal(encode(plan), name="plan")
        self._told_fd = memory.seal(msgspec.json.encode(told), name="told")
        self._drain_seconds = told.endpoint.drain_seconds
        self._listener = listener
        self._slots = [_Slot() for _ in range(count)]
        self._hang_seconds = hang_seconds
        self._deadline: float | None = None
        self._served = False
        self._code = codes.DRAINED

    def run(self) -> int:
        """Return the exit code once all workers are gone: told to leave, or none could ever serve."""
        # Held back, not handled: sigtimedwait takes them one by one, and nothing can come between a look and a wait.
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        while True:
            self._reap()
            now = time.monotonic()
            if self._deadline is not None:
                if not any(slot.process for slot in self._slots):
                    return self._code
                if now > self._deadline:
                    self._signal(signal.SIGKILL)
            else:
                self._look_after(now)
            found = signal.sigtimedwait(_SIGNALS, _TICK if self._served else 0.05)
            if found is not None and found.si_signo != signal.SIGCHLD:
                self._leave()

    def _look_after(self, now: float) -> None:
        for slot in self._slots:
            if slot.process is None:
                if now >= slot.wait_until:
                    self._spawn(slot, now)
                continue
            with contextlib.suppress(BlockingIOError):
                if os.read(slot.beats, 65_536):
                    slot.heard, slot.served, self._served = now, True, True
            if slot.served and now - slot.heard > self._hang_seconds:
                log.warning("a worker shows no sign of life and is replaced", pid=slot.process.pid)
                slot.process.kill()
                slot.heard = now

    def _spawn(self, slot: _Slot, now: float) -> None:
        beats, theirs = os.pipe()
        os.set_blocking(beats, False)
        fds = (self._listener.fileno(), self._plan_fd, self._told_fd, theirs)
        command = [sys.executable, "-P", "-m", "samovar.autoserve.standalone.worker", *map(str, fds)]
        slot.process = subprocess.Popen(command, pass_fds=fds, env=environment(), stdin=subprocess.DEVNULL)
        os.close(theirs)
        slot.beats, slot.born, slot.heard, slot.served = beats, now, now, False

    def _reap(self) -> None:
        """Bury whoever died: workers, and orphans of builders that came to us because we are the first process."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            slot = next((slot for slot in self._slots if slot.process is not None and slot.process.pid == pid), None)
            if slot is not None:
                self._ended(slot, os.waitstatus_to_exitcode(status))

    def _ended(self, slot: _Slot, code: int) -> None:
        assert slot.process is not None
        slot.process.returncode = code  # it was waited for here, not by its owner
        slot.process = None
        os.close(slot.beats)
        now = time.monotonic()
        if self._deadline is not None:
            return
        if not self._served and code > 0:
            # The version fails before it ever answered: whoever started us must hear it, and a retry would not help.
            self._code = code if code in (codes.UNTRUSTED, codes.WRONG_SETTINGS) else codes.MODEL_FAILS
            self._leave()
            return
        slot.crashes = 1 if now - slot.born > STEADY_SECONDS else slot.crashes + 1
        slot.wait_until = now + BACKOFF.delay(slot.crashes)
        log.warning("a worker died and comes back", code=code, crashes=slot.crashes)
        if not self._served and slot.crashes >= _PATIENCE:
            self._code = codes.MODEL_FAILS
            self._leave()

    def _leave(self) -> None:
        if self._deadline is None:
            self._deadline = time.monotonic() + self._drain_seconds + _LAST_CALL
            self._listener.close()
            self._signal(signal.SIGTERM)

    def _signal(self, number: signal.Signals) -> None:
        for slot in self._slots:
            if slot.process is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(slot.process.pid, number)
