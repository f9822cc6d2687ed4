"""Which versions failed, why, and when they may be tried again. No network; the clock is given."""

from __future__ import annotations

import dataclasses
import math
import threading
from typing import TYPE_CHECKING

from samovar.autoserve.backoff import Backoff
from samovar.autoserve.status import Failure

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from samovar.autoserve.plan import Key

BACKOFF = Backoff(first=2.0, longest=300.0)
"""Seconds between two attempts at a version that fails. A broken model does not mend itself; a broken network does."""


WAIT_SECONDS = 30.0
"""How long a version waits to hear that what it needs is there, before it is tried in any case."""


@dataclasses.dataclass(frozen=True)
class _Entry:
    failure: Failure
    times: int
    until: float


class Retries:
    """Remembers failures by (endpoint, version). Safe to use from several threads.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._entries: dict[tuple[Key, int], _Entry] = {}
        self._lock = threading.Lock()

    def wait(self, key: Key, version: int, reason: str) -> None:
        """Remember that a version waits for what is being made for it: until ``ready``, or for a while."""
        with self._lock:
            known = self._entries.get((key, version))
            until = self._clock() + WAIT_SECONDS
            self._entries[key, version] = _Entry(Failure(reason, waiting=True), known.times if known else 0, until)

    def ready(self) -> None:
        """Let all that wait be tried now: what one of them waits for may be there."""
        with self._lock:
            self._entries = {
                pair: dataclasses.replace(entry, until=0.0) if entry.failure.waiting else entry
                for pair, entry in self._entries.items()
            }

    def note(self, key: Key, version: int, reason: str, *, untrusted: bool = False) -> None:
        """Remember a failure. An untrusted version waits for a person, not for a clock."""
        with self._lock:
            known = self._entries.get((key, version))
            times = known.times + 1 if known else 1
            until = math.inf if untrusted else self._clock() + BACKOFF.delay(times)
            self._entries[key, version] = _Entry(Failure(reason, untrusted), times, until)

    def forgive(self, key: Key, version: int) -> None:
        """Forget a version's failures: it was trusted, or has served for a while."""
        with self._lock:
            self._entries.pop((key, version), None)

    def keep_only(self, wanted: Mapping[Key, int]) -> None:
        """Forget versions that nobody wants any more: setting the alias again is a fresh attempt."""
        with self._lock:
            self._entries = {pair: entry for pair, entry in self._entries.items() if wanted.get(pair[0]) == pair[1]}

    def blocked(self) -> frozenset[tuple[Key, int]]:
        """Return what must not be tried now."""
        now = self._clock()
        with self._lock:
            return frozenset(pair for pair, entry in self._entries.items() if entry.until > now)

    def untrusted(self) -> tuple[tuple[Key, int], ...]:
        """Return what waits for trust."""
        with self._lock:
            return tuple(pair for pair, entry in self._entries.items() if entry.failure.untrusted)

    def failure(self, key: Key, version: int | None) -> Failure | None:
        """Return why a version does not serve, if it failed."""
        with self._lock:
            entry = self._entries.get((key, version)) if version is not None else None
        return entry.failure if entry else None
