"""Which of several controllers acts: the one that holds the lease. The others stand by.

``Lease`` is the port, ``HeldLease`` the rules, and a ``Place`` is where the lease is written: the app database, or the cluster that
it is about. It is never trusted alone: every order to a runtime carries the lease's epoch, and an older one is refused.
"""

from __future__ import annotations

import dataclasses
import threading
import time
from typing import TYPE_CHECKING, Protocol

from samovar.errors import SamovarError
from samovar.logs import get_logger
from samovar.store import claimants, leases

if TYPE_CHECKING:
    from collections.abc import Callable

    from samovar.store.database import Database

log = get_logger(__name__)

SAFE = 0.8
"""Share of a lease's time in which its holder acts; the rest is for clocks that run at other speeds."""
RENEWALS = 3
"""Renewals in a lease's time."""
LOOK_SECONDS = 1.0
"""Seconds between two looks of a controller that stands by."""


@dataclasses.dataclass(frozen=True)
class Standing:
    """What people are told about a lease.

    Attributes:
        epoch: its number while this controller acts; 0 while it stands by.
        reason: why it stands by; empty while it acts.
    """

    epoch: int = 0
    reason: str = ""


class Lease(Protocol):
    """Says whether this controller may act."""

    def standing(self) -> Standing:
        """Return how it stands now. Asked before each order, so it may not wait for anything."""

    def tick(self) -> float:
        """Renew the lease, or take it when it is free; returns the seconds until it shall be called again. Never raises."""

    def refused(self, epoch: int) -> None:
        """An order of that lease was refused, because a younger one has spoken: act no more until this is no longer so."""

    def release(self) -> None:
        """Give the lease back: this controller ends."""


class Alone:
    """The lease of a controller that nobody competes with."""

    def standing(self) -> Standing:
        """See ``Lease``."""
        return Standing()

    def tick(self) -> float:
        """See ``Lease``."""
        return 3600.0

    def refused(self, epoch: int) -> None:
        """See ``Lease``."""

    def release(self) -> None:
        """See ``Lease``."""


def boot_seconds() -> float:
    """Return seconds since the machine was started, those in which it slept included; nobody can set this clock."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Place(Protocol):
    """Where a lease is written. Every method raises ``SamovarError`` while the place cannot be used; see `samovar.store.leases`."""

    def local(self) -> bool:
        """Whether nobody but processes of this host can write here."""

    def get(self, name: str) -> leases.Lease | None:
        """Return the lease; None when nobody ever held it."""

    def take(self, name: str, holder: str, seconds: float, seen: leases.Lease | None) -> leases.Lease | None:
        """Take the lease if it is still as it was ``seen``; None when it is not."""

    def renew(self, lease: leases.Lease) -> bool:
        """Say that the holder still acts; False when it has lost the lease."""

    def release(self, lease: leases.Lease) -> None:
        """Give it back."""


class DatabasePlace:
    """The app database as a place for leases.

    Args:
        database: opens the database; raises ``SamovarError`` while it cannot be used.
    """

    def __init__(self, database: Callable[[], Database]) -> None:
        self._database = database

    def local(self) -> bool:
        """See ``Place``."""
        return self._database().local

    def get(self, name: str) -> leases.Lease | None:
        """See ``Place``."""
        with self._database().read() as connection:
            return leases.get(connection, name)

    def take(self, name: str, holder: str, seconds: float, seen: leases.Lease | None) -> leases.Lease | None:
        """See ``Place``."""
        with self._database().begin() as connection:
            return leases.take(connection, name, holder, seconds, seen)

    def renew(self, lease: leases.Lease) -> bool:
        """See ``Place``."""
        with self._database().begin() as connection:
            return leases.renew(connection, lease)

    def release(self, lease: leases.Lease) -> None:
        """See ``Place``."""
        with self._database().begin() as connection:
            leases.release(connection, lease)


class HeldLease:
    """A lease and the rules by which it is taken, kept and lost.

    Args:
        place: where it is written.
        name: what the lease is about: one world that two controllers must not both change.
        seconds: how long it lasts without a renewal.
        holder: who asks, see `samovar.store.claimants`.
        clock: seconds that only grow.
    """

    def __init__(
        self,
        place: Place,
        name: str,
        seconds: float,
        *,
        holder: str | None = None,
        clock: Callable[[], float] = boot_seconds,
    ) -> None:
        self._place = place
        self._name = name
        self._seconds = seconds
        self._holder = holder or claimants.myself()
        self._clock = clock
        self._mine: leases.Lease | None = None
        self._renewed = 0.0
        self._local = False
        self._seen: leases.Lease | None = None
        self._since = 0.0
        self._shunned = 0
        self._reason = "It has not asked for the lease yet."
        # `tick` runs in a thread of its own; the loop and the builders ask and tell.
        self._lock = threading.Lock()

    def standing(self) -> Standing:
        """See ``Lease``."""
        with self._lock:
            if self._mine is None:
                return Standing(reason=self._reason)
            # Nobody can take a lease in a local database that this holder cannot write; in one far away, somebody else might.
            if self._local or self._clock() - self._renewed < SAFE * self._mine.seconds:
                return Standing(self._mine.epoch)
            return Standing(reason=f"Its lease could not be renewed. {self._reason}".strip())

    def tick(self) -> float:
        """See ``Lease``."""
        began = self._clock()
        try:
            mine = self._mine
            if mine is None:
                self._try(began)
            else:
                self._keep(mine, began) if self._place.renew(mine) else self._lose("Another controller took over.")
        except SamovarError as error:
            self._trouble(str(error))
        except Exception as error:  # noqa: BLE001 - the thread that ends here would never ask for the lease again
            self._trouble(f"{type(error).__name__}: {error}", bug=True)
        return self._seconds / RENEWALS if self._mine is not None else min(LOOK_SECONDS, self._seconds / RENEWALS)

    def refused(self, epoch: int) -> None:
        """See ``Lease``."""
        with self._lock:
            if self._mine is None or self._mine.epoch != epoch:
                return  # an order from before this holding
            self._shunned = epoch
        self._lose(
            "The runtime has heard a controller with a younger lease, though this one holds the lease of its database. Let all"
            " controllers of a host use one database; if there is no other, run `samovar down` and `samovar up`."
        )

    def release(self) -> None:
        """See ``Lease``."""
        with self._lock:
            mine, self._mine, self._reason = self._mine, None, "It has ended."
        if mine is None:
            return
        try:
            self._place.release(mine)
        except SamovarError as error:
            log.warning("the lease is left to expire", reason=str(error))

    def _try(self, began: float) -> None:
        found = self._place.get(self._name)
        if found is not None and found.epoch == self._shunned:
            return  # refused, and nobody has held it since: taking it again would only be refused again
        if not self._free(found):
            self._reason = f"{found.holder if found else 'Nobody'} holds the lease."
            return
        taken = self._place.take(self._name, self._holder, self._seconds, found)
        if taken is not None:
            self._local = self._place.local()
            self._keep(taken, began)
            log.info("this controller acts from now on", epoch=taken.epoch, after=found.holder if found else "")

    def _free(self, found: leases.Lease | None) -> bool:
        """Whether a lease may be taken: never held, given back, of a dead process of this host, or not renewed for its time."""
        if found is None or not found.holder or claimants.alive(found.holder) is False:
            return True
        now = self._clock()
        if self._seen is None or (self._seen.epoch, self._seen.beat) != (found.epoch, found.beat):
            self._seen, self._since = found, now
        return now - self._since >= max(self._seconds, found.seconds)

    def _keep(self, lease: leases.Lease, began: float) -> None:
        with self._lock:
            self._mine, self._renewed, self._reason = lease, began, ""

    def _lose(self, reason: str) -> None:
        with self._lock:
            self._mine, self._seen, self._reason = None, None, reason
        log.warning("this controller stands by", reason=reason)

    def _trouble(self, reason: str, *, bug: bool = False) -> None:
        with self._lock:
            told, self._reason = self._reason, reason
        if told != reason:
            log.warning("the lease cannot be renewed or taken", reason=reason, exc_info=bug)


def keep(lease: Lease, stop: threading.Event, on_change: Callable[[], None]) -> None:
    """Tick until stopped, and tell when the standing changed. Runs in a thread of its own: a round may outlast a lease."""
    while True:
        before = lease.standing().epoch
        pause = lease.tick()
        if lease.standing().epoch != before:
            on_change()
        if stop.wait(pause):
            return
