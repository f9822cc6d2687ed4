"""Leases: who of several may act, kept as one row a name that only one of them can change.

No clock of any host is compared with another's. A holder renews by raising ``beat``; whoever waits takes the lease when it has seen
the same ``epoch`` and ``beat`` for as long as the lease lasts, measured on its own clock.
"""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING

import sqlalchemy as sa

from samovar.store import query
from samovar.store.tables import leases

if TYPE_CHECKING:
    import datetime as dt


@dataclasses.dataclass(frozen=True, slots=True)
class Lease:
    """One lease.

    Attributes:
        name: what it is about.
        holder: who holds it; empty when it was given back.
        epoch: number of the holding: a later holder has a higher one, also after the table was lost (it is at least the time of the
            take-over, in seconds since the epoch).
        beat: grows with each renewal.
        seconds: after so long without a renewal anybody may take it.
        renewed_at: when it was renewed, for people.
    """

    name: str
    holder: str
    epoch: int
    beat: int
    seconds: float
    renewed_at: dt.datetime = dataclasses.field(default_factory=query.now)


def get(connection: sa.Connection, name: str) -> Lease | None:
    """Return a lease; None when nobody ever held it."""
    return query.first(connection, Lease, query.select(leases, Lease).where(leases.c.name == name))


def next_epoch(seen: Lease | None) -> int:
    """Return the number of a new holding: after every earlier one, also of a lease that was lost with all that knew of it."""
    return max(int(time.time()), seen.epoch + 1 if seen else 1)


def take(connection: sa.Connection, name: str, holder: str, seconds: float, seen: Lease | None) -> Lease | None:
    """Take a lease that is still as it was ``seen``.

    Returns:
        The lease with its new epoch; None when somebody renewed it or was faster.
    """
    taken = Lease(name, holder, next_epoch(seen), 0, seconds)
    if seen is None:
        return taken if query.insert(connection, leases, dataclasses.asdict(taken)) else None
    statement = sa.update(leases).where(
        leases.c.name == name, leases.c.holder == seen.holder, leases.c.epoch == seen.epoch, leases.c.beat == seen.beat
    )
    return taken if connection.execute(statement.values(**dataclasses.asdict(taken))).rowcount else None


def renew(connection: sa.Connection, lease: Lease) -> bool:
    """Say that the holder still acts; False when it has lost the lease."""
    values = {"beat": leases.c.beat + 1, "renewed_at": query.now()}
    return bool(connection.execute(_held(lease).values(**values)).rowcount)


def release(connection: sa.Connection, lease: Lease) -> None:
    """Give a lease back, so that anybody may take it at once; nothing happens when it was lost."""
    connection.execute(_held(lease).values(holder=""))


def _held(lease: Lease) -> sa.Update:
    return sa.update(leases).where(leases.c.name == lease.name, leases.c.holder == lease.holder, leases.c.epoch == lease.epoch)
