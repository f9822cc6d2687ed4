"""Versions waiting to be built: one at a time, the newest wish of each endpoint only."""

from __future__ import annotations

import contextvars
import queue
import threading
from typing import TYPE_CHECKING

from samovar.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from samovar.autoserve.plan import Key

log = get_logger(__name__)


class Builds:
    """A queue with one builder thread. One, because a build takes a core and the memory of a model.

    Args:
        build: brings a version to the agent; it reports its own failures.
        on_done: called after each build.
    """

    def __init__(self, build: Callable[[Key, int], None], on_done: Callable[[], None]) -> None:
        self._build = build
        self._on_done = on_done
        self._queue: queue.SimpleQueue[tuple[Key, int]] = queue.SimpleQueue()
        self._wishes: dict[Key, int] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def submit(self, key: Key, version: int) -> None:
        """Wish for a version at an endpoint; an earlier wish that was not granted yet is forgotten."""
        with self._lock:
            if self._wishes.get(key) == version:
                return
            self._wishes[key] = version
            self._queue.put((key, version))
            if self._thread is None:
                self._thread = threading.Thread(
                    target=contextvars.copy_context().run, args=(self._run,), name="builds", daemon=True
                )
                self._thread.start()

    def cancel(self, key: Key) -> None:
        """Forget the wish of an endpoint."""
        with self._lock:
            self._wishes.pop(key, None)

    def wished(self, key: Key, version: int) -> bool:
        """Whether a version is still wished for; asked again after a long build."""
        with self._lock:
            return self._wishes.get(key) == version

    def wishes(self) -> dict[Key, int]:
        """Return what is being built or waits."""
        with self._lock:
            return dict(self._wishes)

    def _run(self) -> None:
        while True:
            key, version = self._queue.get()
            if not self.wished(key, version):
                continue
            try:
                self._build(key, version)
            except Exception:
                log.exception("a build ended in a way nobody foresaw", model=key.model, alias=key.alias, version=version)
            with self._lock:
                if self._wishes.get(key) == version:
                    del self._wishes[key]
            self._on_done()
