"""Events: what happened to endpoints and aliases, for people who ask what has been going on."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from samovar.store import query
from samovar.store.tables import events

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Collection, Sequence

    import sqlalchemy as sa


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event.

    Attributes:
        kind: what happened: ``served``, ``degraded``, ``external_move``, ...
        model: registered model, if one is concerned.
        alias: alias, if one is concerned.
        detail: the rest.
        alarm: whether a person should look.
        at: when.
    """

    kind: str
    model: str = ""
    alias: str = ""
    detail: dict[str, Any] = dataclasses.field(default_factory=dict)
    alarm: bool = False
    at: dt.datetime = dataclasses.field(default_factory=query.now)


def add(  # noqa: PLR0913 - the fields of an event
    connection: sa.Connection,
    kind: str,
    model: str = "",
    alias: str = "",
    detail: dict[str, Any] | None = None,
    *,
    alarm: bool = False,
) -> None:
    """Store an event that happens now."""
    put(connection, Event(kind=kind, model=model, alias=alias, detail=detail or {}, alarm=alarm))


def put(connection: sa.Connection, event: Event) -> None:
    """Store an event that happened at ``event.at``."""
    query.insert(connection, events, dataclasses.asdict(event))


def put_many(connection: sa.Connection, many: Sequence[Event]) -> None:
    """Store events in their order."""
    query.insert_many(connection, events, [query.values(event) for event in many])


def list_(  # noqa: PLR0913 - by what they are chosen
    connection: sa.Connection,
    model: str | None = None,
    limit: int = 50,
    *,
    alias: str | None = None,
    since: dt.datetime | None = None,
    but: Collection[str] = (),
) -> list[Event]:
    """Return the newest events, newest first; of one model, of one alias, after a moment and without some kinds if given."""
    statement = query.select(events, Event).order_by(events.c.id.desc()).limit(limit)
    if model is not None:
        statement = statement.where(events.c.model == model)
    if alias is not None:
        statement = statement.where(events.c.alias == alias)
    if since is not None:
        statement = statement.where(events.c.at > since)
    if but:
        statement = statement.where(events.c.kind.not_in(sorted(but)))
    return query.all_(connection, Event, statement)
