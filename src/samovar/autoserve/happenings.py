"""What happened: who moved which alias when (decisions), and what came of it (events), in one list."""

from __future__ import annotations

import dataclasses
import datetime as dt  # noqa: TC003 - the API's document is made of the annotations
from typing import TYPE_CHECKING, Any

from samovar.store import decisions, events

if TYPE_CHECKING:
    from collections.abc import Callable

    from samovar.store.database import Database
    from samovar.store.decisions import Decision
    from samovar.store.events import Event

    History = Callable[[str | None, str | None, dt.datetime | None, int], "list[Happening]"]

_TOLD_BY_DECISIONS = frozenset({"external_move", "decision"})
"""Events that say again what a decision says, with less."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """One thing that happened.

    Attributes:
        at: when.
        kind: of a decision ``promote``, ``rollback``, ``set``, ``delete`` or ``external``; else what happened (``served``, ...).
        model: registered model, if one is concerned.
        alias: alias, if one is concerned.
        actor: who or what decided; empty for what is no decision.
        detail: the rest.
        alarm: whether a person should look.
    """

    at: dt.datetime
    kind: str
    model: str = ""
    alias: str = ""
    actor: str = ""
    detail: dict[str, Any] = dataclasses.field(default_factory=dict)
    alarm: bool = False


def read(
    database: Database, model: str | None = None, alias: str | None = None, since: dt.datetime | None = None, limit: int = 50
) -> list[Happening]:
    """Return what happened, the newest first.

    Args:
        database: the app database.
        model: only of this model.
        alias: only of this alias.
        since: only after this moment.
        limit: how many at most.

    Raises:
        StoreUnavailable: the database cannot be read.
    """
    with database.read() as connection:
        told = events.list_(connection, model, limit, alias=alias, since=since, but=_TOLD_BY_DECISIONS)
        decided = decisions.list_(connection, model, limit, alias=alias, since=since)
    found = [*map(_happened, told), *map(_decided, decided)]
    return sorted(found, key=lambda one: one.at, reverse=True)[:limit]


def _happened(event: Event) -> Happening:
    return Happening(at=event.at, kind=event.kind, model=event.model, alias=event.alias, detail=event.detail, alarm=event.alarm)


def _decided(decision: Decision) -> Happening:
    detail: dict[str, Any] = {"from": decision.from_version, "to": decision.to_version, "reason": decision.reason}
    if decision.verdict != "approved":
        detail["verdict"] = decision.verdict
    elif decision.applied_at is None:
        detail["verdict"] = "approved, not seen in the registry yet"
    return Happening(
        at=decision.created_at,
        kind=decision.kind,
        model=decision.model,
        alias=decision.alias,
        actor=decision.actor,
        detail={name: value for name, value in detail.items() if value is not None},
    )
