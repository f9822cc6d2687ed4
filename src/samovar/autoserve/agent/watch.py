"""Looks, once a second, at what sends no message: workers that hang, and keys that were given out or taken back."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from samovar.logs import get_logger

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable

    from samovar.autoserve.agent.config import AgentConfig
    from samovar.autoserve.agent.workers import WorkerProcess

log = get_logger(__name__)

LOOK_SECONDS = 1.0
_PAUSE = 5.0  # seconds between two looks that tell of a pause of everything


class Watch:
    """Ends workers that hang, and says when the file of keys changed.

    Args:
        loop: the agent's loop.
        config: names the file, and how long a worker may be silent.
        workers: gives all workers.
        renew: called when the file of keys is another one than before.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        config: AgentConfig,
        workers: Callable[[], Iterable[WorkerProcess]],
        renew: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._hang_seconds = config.hang_seconds
        self._keys = Path(config.keys_file) if config.keys_file else None
        self._workers = workers
        self._renew = renew
        self._seen = self._stamp()
        self._timer: asyncio.TimerHandle | None = None
        self._looked = time.monotonic()

    def start(self) -> None:
        """Look now and every second."""
        self._timer = self._loop.call_later(LOOK_SECONDS, self.start)
        self._end_silent()
        stamp = self._stamp()
        if stamp != self._seen:
            self._seen = stamp
            log.info("the keys changed; workers are replaced")
            self._renew()

    def close(self) -> None:
        """Stop looking."""
        if self._timer is not None:
            self._timer.cancel()

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
                worker.reason = f"It hung: no sign of life for {self._hang_seconds:g} s."
                worker.kill()

    def _stamp(self) -> tuple[int, int] | None:
        try:
            found = self._keys.stat() if self._keys is not None else None
        except OSError:
            return None
        return (found.st_mtime_ns, found.st_ino) if found is not None else None
