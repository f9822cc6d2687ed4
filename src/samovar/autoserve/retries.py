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

BROKEN = 5
"""After so many failures of its own a version is known to be broken: 30 seconds of attempts."""

CRASHES = 3
"""After so many crash loops a version is known to crash. Fewer: each of them cost callers their answers."""


WAIT_SECONDS = 30.0
"""How long a version waits to hear that what it needs is there, before it is tried in any case."""


@dataclasses.dataclass(frozen=True)
class Entry:
    """What is known of a version that failed.

    Attributes:
        failure: why, and whether it waits for trust.
        times: failures in a row.
        until: when it may be tried again.
        own: how many of them were the version's own fault, not a network's.
        crashes: how many of them were crash loops.
    """

    failure: Failure
    times: int
    until: float
    own: int = 0
    crashes: int = 0

    @property
    def broken(self) -> bool:
        """Whether the version is known to be broken."""
        return self.own >= BROKEN or self.crashes >= CRASHES


class Retries:
    """Remembers failures by (endpoint, version). Safe to use from several threads.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._entries: dict[tuple[Key, int], Entry] = {}
        self._lock = threading.Lock()

    def wait(self, key: Key, version: int, reason: str) -> None:
        """Remember that a version waits for what is being made for it: until ``ready``, or for a while."""
        with self._lock:
            known = self._entries.get((key, version)) or Entry(Failure(reason), 0, 0.0)
            waits = Failure(reason, waiting=True)
            self._entries[key, version] = dataclasses.replace(known, failure=waits, until=self._clock() + WAIT_SECONDS)

    def ready(self) -> None:
        """Let all that wait be tried now: what one of them waits for may be there."""
        with self._lock:
            self._entries = {
                pair: dataclasses.replace(entry, until=0.0) if entry.failure.waiting else entry
                for pair, entry in self._entries.items()
            }

    def note(  # noqa: PLR0913 - what failed, and how
        self, key: Key, version: int, reason: str, *, untrusted: bool = False, own: bool = False, crashed: bool = False
    ) -> None:
        """Remember a failure. An untrusted version waits for a person, not for a clock."""
        with self._lock:
            known = self._entries.get((key, version)) or Entry(Failure(reason), 0, 0.0)
            until = math.inf if untrusted else self._clock() + BACKOFF.delay(known.times + 1)
            self._entries[key, version] = Entry(
                Failure(reason, untrusted), known.times + 1, until, known.own + own, known.crashes + crashed
            )

    def learn(self, key: Key, version: int, reason: str) -> None:
        """Take over what another controller knew of a version: it waits as long as one that failed often."""
        with self._lock:
            if (key, version) not in self._entries:
                self._entries[key, version] = Entry(Failure(reason), _OFTEN, self._clock() + BACKOFF.longest)

    def forgive(self, key: Key, version: int) -> None:
        """Forget a version's failures: it was trusted, or has served for a while."""
        with self._lock:
            self._entries.pop((key, version), None)

    def keep_only(self, wanted: Mapping[Key, int], fallbacks: Mapping[Key, int] | None = None) -> None:
        """Forget versions that nobody wants any more: setting the alias again is a fresh attempt."""
        spare = fallbacks or {}
        with self._lock:
            self._entries = {
                (key, version): entry
                for (key, version), entry in self._entries.items()
                if version in {wanted.get(key), spare.get(key)}
            }

    def known(self) -> tuple[tuple[Key, int, Entry], ...]:
        """Return everything that failed."""
        with self._lock:
            return tuple((key, version, entry) for (key, version), entry in self._entries.items())

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


_OFTEN = 10
"""Failures after which the back-off is at its longest."""
