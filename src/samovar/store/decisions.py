"""Decisions: why an alias stands where it stands. Recorded before the alias moves, marked applied after it was seen there."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Literal

import sqlalchemy as sa

from samovar.store import query
from samovar.store.tables import decisions

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Collection, Sequence

Kind = Literal["promote", "rollback", "set", "delete", "external"]
Verdict = Literal["approved", "rejected", "advised"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One decision about an alias.

    Attributes:
        key: its identity, a digest: the same evidence gives the same decision.
        kind: what made it: a gate, a rollback, a person's command, or a move that was made elsewhere.
        model: registered model.
        alias: the alias.
        from_version: where the alias stood; None when it did not exist.
        to_version: where it goes; None deletes it.
        verdict: ``advised`` waits for a person (manual promotion).
        reason: one sentence for people.
        evidence: figures behind it.
        actor: who or what decided.
        project: the project, if one is concerned.
        created_at: when it was made.
        applied_at: when the alias was seen where the decision put it; None until then.
    """

    key: str
    kind: Kind
    model: str
    alias: str
    from_version: int | None
    to_version: int | None
    verdict: Verdict
    reason: str
    actor: str
    evidence: dict[str, Any] = dataclasses.field(default_factory=dict)
    project: str = ""
    created_at: dt.datetime = dataclasses.field(default_factory=query.now)
    applied_at: dt.datetime | None = None


def record(connection: sa.Connection, decision: Decision) -> Decision:
    """Store a decision and return it; where its key is known, return the one that was made then."""
    query.insert(connection, decisions, dataclasses.asdict(decision))
    return get(connection, decision.key) or decision


def get(connection: sa.Connection, key: str) -> Decision | None:
    """Return the decision with this key."""
    return query.first(connection, Decision, query.select(decisions, Decision).where(decisions.c.key == key))


def mark_applied(connection: sa.Connection, key: str, at: dt.datetime | None = None) -> None:
    """Note when the alias was seen where the decision put it; the first time stays."""
    statement = sa.update(decisions).where(decisions.c.key == key, decisions.c.applied_at.is_(None))
    connection.execute(statement.values(applied_at=at or query.now()))


def history(connection: sa.Connection, model: str, alias: str) -> list[Decision]:
    """Return all decisions about an alias, oldest first."""
    return query.all_(connection, Decision, _about(model, alias).order_by(decisions.c.id))


def list_(
    connection: sa.Connection,
    model: str | None = None,
    limit: int = 50,
    *,
    alias: str | None = None,
    since: dt.datetime | None = None,
) -> list[Decision]:
    """Return the newest decisions, newest first; of one model, of one alias and after a moment if given."""
    statement = query.select(decisions, Decision).order_by(decisions.c.id.desc()).limit(limit)
    if model is not None:
        statement = statement.where(decisions.c.model == model)
    if alias is not None:
        statement = statement.where(decisions.c.alias == alias)
    if since is not None:
        statement = statement.where(decisions.c.created_at > since)
    return query.all_(connection, Decision, statement)


def last_applied(connection: sa.Connection, model: str, alias: str) -> Decision | None:
    """Return the decision that put the alias where Samovar last saw it."""
    statement = _about(model, alias).where(decisions.c.applied_at.is_not(None))
    return query.first(connection, Decision, statement.order_by(decisions.c.applied_at.desc(), decisions.c.id.desc()))


@dataclasses.dataclass(frozen=True, slots=True)
class Standing:
    """What decisions say of one alias.

    Attributes:
        applied: the decision that put it where Samovar last saw it; None when there was none.
        newest: the decision that was made last.
    """

    applied: Decision | None
    newest: Decision


def standings(connection: sa.Connection, models: Collection[str]) -> dict[tuple[str, str], Standing]:
    """Return what decisions say of every alias of these models that was ever decided about: two queries for 500 models."""
    found: dict[tuple[str, str], Standing] = {}
    wanted = sorted(set(models))
    for start in range(0, len(wanted), _CHUNK):
        some = decisions.c.model.in_(wanted[start : start + _CHUNK])
        applied = _firsts(connection, (some, decisions.c.applied_at.is_not(None)), (decisions.c.applied_at.desc(),))
        newest = _firsts(connection, (some,), ())
        found |= {key: Standing(applied.get(key), decision) for key, decision in newest.items()}
    return found


_CHUNK = 500
"""Models in one query: SQLite takes a few thousand values."""


def record_many(connection: sa.Connection, made: Sequence[Decision]) -> None:
    """Store decisions, but those whose key is known."""
    query.insert_many(connection, decisions, [query.values(decision) for decision in made])


def _firsts(
    connection: sa.Connection, where: Sequence[sa.ColumnElement[bool]], order: Sequence[sa.ColumnElement[Any]]
) -> dict[tuple[str, str], Decision]:
    """Return the first decision about each alias, in an order in which the younger comes first."""
    place = sa.func.row_number().over(partition_by=(decisions.c.model, decisions.c.alias), order_by=(*order, decisions.c.id.desc()))
    ranked = sa.select(decisions.c.id, place.label("place")).where(*where).subquery()
    firsts = query.select(decisions, Decision).join(ranked, ranked.c.id == decisions.c.id).where(ranked.c.place == 1)
    return {(decision.model, decision.alias): decision for decision in query.all_(connection, Decision, firsts)}


def _about(model: str, alias: str) -> sa.Select[Any]:
    return query.select(decisions, Decision).where(decisions.c.model == model, decisions.c.alias == alias)


def find(connection: sa.Connection, which: str, kind: Kind | None = None) -> list[Decision]:
    """Return decisions whose key begins with a text, or that are about the model of this name, newest first; of a kind if given."""
    statement = query.select(decisions, Decision).order_by(decisions.c.id.desc()).limit(50)
    begins = decisions.c.key.startswith(which, autoescape=True) if len(which) >= _KEY_LEAST else sa.false()
    statement = statement.where(sa.or_(decisions.c.model == which, begins))
    if kind is not None:
        statement = statement.where(decisions.c.kind == kind)
    return query.all_(connection, Decision, statement)


_KEY_LEAST = 6
"""Characters of a key that name a decision well enough."""
