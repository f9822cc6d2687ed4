"""Looks at what sends no message: workers that hang or take too much memory, and keys that were given out or taken back."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from samovar.autoserve import keyring
from samovar.autoserve.agent import limits
from samovar.logs import get_logger

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable

    from samovar.autoserve.agent.config import AgentConfig
    from samovar.autoserve.agent.workers import WorkerProcess

log = get_logger(__name__)

LOOK_SECONDS = 0.25
"""Two hundred workers cost under 2 ms a look."""

_SLOW = 4  # looks between two of what changes slowly, or costs more to see
_PAUSE = 5.0  # seconds between two looks that tell of a pause of everything


class Watch:
    """Ends workers that hang or take too much, and says which keys hold now.

    Args:
        loop: the agent's loop.
        config: names the file of keys, and how long a worker may be silent.
        workers: gives all workers.
        renew: called again and again with the digest of the keys of now.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        config: AgentConfig,
        workers: Callable[[], Iterable[WorkerProcess]],
        renew: Callable[[str], None],
    ) -> None:
        self._loop = loop
        self._hang_seconds = config.hang_seconds
        self._keys = Path(config.keys_file) if config.keys_file else None
        self._workers = workers
        self._renew = renew
        self._stamp: tuple[int, int] | None = None
        self._digest = ""
        self._looks = 0
        self._timer: asyncio.TimerHandle | None = None
        self._looked = time.monotonic()

    def start(self) -> None:
        """Look now and several times a second."""
        self._timer = self._loop.call_later(LOOK_SECONDS, self.start)
        slow = self._looks % _SLOW == 0
        self._looks += 1
        self._end_greedy(thoroughly=slow)
        if slow:
            self._end_silent()
            if self._keys is not None:
                self._renew(self._keys_now(self._keys))

    def close(self) -> None:
        """Stop looking."""
        if self._timer is not None:
            self._timer.cancel()

    def _end_greedy(self, *, thoroughly: bool) -> None:
        for worker in self._workers():
            if not worker.limit or not worker.pid or worker.ending:
                continue
            # What it has in memory, and ever had, is cheap to see and never less than what it took for itself.
            if limits.resident(worker.pid) <= worker.limit and not (thoroughly and limits.peak(worker.pid) > worker.limit):
                continue
            if limits.taken(worker.pid, worker.inherited) > worker.limit:
                worker.end(limits.excess(worker.limit))
            else:
                # Else files' pages that the kernel takes back later, one after the other, would look like a peak of its own.
                limits.forget_peak(worker.pid)

    def _end_silent(self) -> None:
        now = time.monotonic()
        stood_still, self._looked = now - self._looked > _PAUSE, now
        if stood_still:  # the machine or the whole group was paused: nobody could give a sign
            for worker in self._workers():
                worker.heard = now if worker.heard else 0.0
            return
        for worker in self._workers():
            # A worker that leaves has its own deadline, and one that loads too.
            if worker.state == "accepting" and worker.heard and now - worker.heard > self._hang_seconds:
                worker.end(f"It hung: no sign of life for {self._hang_seconds:g} s.")

    def _keys_now(self, path: Path) -> str:
        try:
            found = path.stat()
            stamp = (found.st_mtime_ns, found.st_ino)
        except OSError:
            stamp = None
        if stamp is None or stamp != self._stamp:
            self._digest = keyring.Ring.read(path).digest
            self._stamp = stamp
        return self._digest
