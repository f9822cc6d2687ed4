"""Versions waiting to be built: a few at a time, the newest wish of each endpoint only, and who waited longest comes first."""

from __future__ import annotations

import contextvars
import threading
from typing import TYPE_CHECKING

from samovar.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from samovar.autoserve.plan import Key

log = get_logger(__name__)


class Builds:
    """A queue with some builder threads. Few, because a build takes a core and the memory of a model.

    An endpoint has one place in the queue: a newer wish takes the place of the one it replaces, and is not begun before the older
    one's build has ended, so that no older version is delivered after a newer one.

    Args:
        build: brings a version to the runtime; it reports its own failures.
        on_done: called after each build.
        threads: how many are built at once.
    """

    def __init__(self, build: Callable[[Key, int], None], on_done: Callable[[], None], threads: int = 1) -> None:
        self._build = build
        self._on_done = on_done
        self._limit = threads
        self._wishes: dict[Key, int] = {}
        self._waiting: dict[Key, int] = {}
        self._busy: set[Key] = set()
        self._changed = threading.Condition()
        self._threads: list[threading.Thread] = []

    def submit(self, key: Key, version: int) -> None:
        """Wish for a version at an endpoint; an earlier wish that was not granted yet is forgotten."""
        with self._changed:
            if self._wishes.get(key) == version:
                return
            self._wishes[key] = self._waiting[key] = version
            if len(self._threads) < min(self._limit, len(self._waiting) + len(self._busy)):
                self._hire()
            self._changed.notify()

    def cancel(self, key: Key) -> None:
        """Forget the wish of an endpoint."""
        with self._changed:
            self._wishes.pop(key, None)
            self._waiting.pop(key, None)

    def clear(self) -> None:
        """Forget all wishes."""
        with self._changed:
            self._wishes.clear()
            self._waiting.clear()

    def wished(self, key: Key, version: int) -> bool:
        """Whether a version is still wished for; asked again after a long build."""
        with self._changed:
            return self._wishes.get(key) == version

    def wishes(self) -> dict[Key, int]:
        """Return what is being built or waits."""
        with self._changed:
            return dict(self._wishes)

    def _hire(self) -> None:
        name = f"builds-{len(self._threads)}"
        thread = threading.Thread(target=contextvars.copy_context().run, args=(self._run,), name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _run(self) -> None:
        while True:
            key, version = self._next()
            try:
                self._build(key, version)
            except Exception:
                log.exception("a build ended in a way nobody foresaw", model=key.model, alias=key.alias, version=version)
            with self._changed:
                self._busy.discard(key)
                if self._wishes.get(key) == version and key not in self._waiting:
                    del self._wishes[key]
                self._changed.notify_all()
            self._on_done()

    def _next(self) -> tuple[Key, int]:
        with self._changed:
            while True:
                for key, version in self._waiting.items():
                    if key not in self._busy:
                        del self._waiting[key]
                        self._busy.add(key)
                        return key, version
                self._changed.wait()
