"""Trust: which model versions may run code of their author when they are loaded, and who said so."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import sqlalchemy as sa

from samovar.store import query
from samovar.store.tables import trust

if TYPE_CHECKING:
    import datetime as dt

EVERY_VERSION = 0


@dataclasses.dataclass(frozen=True, slots=True)
class Grant:
    """One grant of trust.

    Attributes:
        model: registered model.
        version: its version, or `EVERY_VERSION`.
        actor: who trusted it.
        created_at: when.
    """

    model: str
    version: int
    actor: str
    created_at: dt.datetime = dataclasses.field(default_factory=query.now)


def grant(connection: sa.Connection, model: str, version: int, actor: str) -> None:
    """Trust a version, or with `EVERY_VERSION` all of a model's versions, those to come included."""
    query.insert(connection, trust, dataclasses.asdict(Grant(model, version, actor)))


def is_trusted(connection: sa.Connection, model: str, version: int) -> bool:
    """Return whether a version was trusted, by itself or with all of its model's."""
    found = sa.select(trust.c.id).where(trust.c.model == model, trust.c.version.in_((version, EVERY_VERSION)))
    return connection.scalar(found.limit(1)) is not None


def list_(connection: sa.Connection) -> list[Grant]:
    """Return all grants, oldest first."""
    return query.all_(connection, Grant, query.select(trust, Grant).order_by(trust.c.id))
