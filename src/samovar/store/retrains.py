"""Retrain requests: at most one per trigger window and cooldown, worked on by one claimant at a time."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import TYPE_CHECKING, Any, Literal

import sqlalchemy as sa

from samovar.store import claimants, query
from samovar.store.locks import serialise
from samovar.store.tables import retrain_requests

if TYPE_CHECKING:
    from collections.abc import Iterable

LEASE = dt.timedelta(minutes=10)
"""After this long without `renew`, a claim of another host counts as abandoned."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RetrainRequest:
    """One wish to retrain.

    Attributes:
        id: its number.
        project: the project.
        window: what triggered it: one request a window.
        dataset: digest of the dataset that drifted.
        cause: one sentence for people.
        state: ``open``, ``claimed``, ``done`` or ``failed``.
        claimed_by: who works on it.
        claimed_at: since when, or when the claim was last renewed.
        finished_at: when it ended.
        created_at: when it was asked for.
    """

    id: int
    project: str
    window: str
    dataset: str
    cause: str
    state: Literal["open", "claimed", "done", "failed"]
    claimed_by: str
    claimed_at: dt.datetime | None
    finished_at: dt.datetime | None
    created_at: dt.datetime


_table: Any = retrain_requests.c


def request(  # noqa: PLR0913 - the fields of a request
    connection: sa.Connection, project: str, window: str, dataset: str, cause: str, *, cooldown: dt.timedelta = dt.timedelta()
) -> bool:
    """Ask for a retrain.

    Returns:
        Whether a request was made: not when the window has one already, nor within ``cooldown`` of the project's last one.
    """
    serialise(connection, f"retrain {project}")  # two windows at once must not both pass the cooldown
    at = query.now()
    last = connection.scalar(sa.select(sa.func.max(_table.created_at)).where(_table.project == project))
    if last is not None and at - last < cooldown:
        return False
    row = {"project": project, "window": window, "dataset": dataset, "cause": cause, "state": "open", "created_at": at}
    return query.insert(connection, retrain_requests, {**row, "claimed_by": ""})


def claim(connection: sa.Connection, claimant: str, project: str | None = None) -> RetrainRequest | None:
    """Take the oldest request that nobody works on; None when there is none.

    A claim counts as abandoned when its process on this host is dead, or when a claimant that this host cannot see has not renewed
    it within `LEASE`. Claim as `claimants.myself`, so that a killed retrain can go on at once.
    """
    statement = query.select(retrain_requests, RetrainRequest).where(_table.state.in_(("open", "claimed"))).order_by(_table.id)
    if project is not None:
        statement = statement.where(_table.project == project)
    free = _first_free(query.all_(connection, RetrainRequest, statement.with_for_update(skip_locked=True)))
    if free is None:
        return None
    values: dict[str, Any] = {"state": "claimed", "claimed_by": claimant, "claimed_at": query.now()}
    connection.execute(sa.update(retrain_requests).where(_table.id == free.id).values(**values))
    return dataclasses.replace(free, **values)


def renew(connection: sa.Connection, request_id: int, claimant: str) -> bool:
    """Say that the claimant still works on it; False when it has lost the claim."""
    statement = sa.update(retrain_requests).where(_table.id == request_id, _table.claimed_by == claimant, _table.state == "claimed")
    return bool(connection.execute(statement.values(claimed_at=query.now())).rowcount)


def finish(connection: sa.Connection, request_id: int, ok: bool, claimant: str | None = None) -> None:  # noqa: FBT001 - how it ended
    """End a request; one that has ended stays as it is, and so does one that ``claimant``, if given, has lost to another."""
    statement = sa.update(retrain_requests).where(_table.id == request_id, _table.state.in_(("open", "claimed")))
    if claimant is not None:
        statement = statement.where(_table.claimed_by == claimant)
    connection.execute(statement.values(state="done" if ok else "failed", finished_at=query.now()))


def release(connection: sa.Connection, request_id: int, claimant: str | None = None) -> None:
    """Give a claimed request back, so that anybody may claim it at once; not one that ``claimant``, if given, has lost."""
    statement = sa.update(retrain_requests).where(_table.id == request_id, _table.state == "claimed")
    if claimant is not None:
        statement = statement.where(_table.claimed_by == claimant)
    connection.execute(statement.values(state="open", claimed_by="", claimed_at=None))


def list_(connection: sa.Connection, project: str | None = None) -> list[RetrainRequest]:
    """Return the requests, of one project if given, oldest first."""
    statement = query.select(retrain_requests, RetrainRequest).order_by(_table.id)
    if project is not None:
        statement = statement.where(_table.project == project)
    return query.all_(connection, RetrainRequest, statement)


def is_free(request: RetrainRequest) -> bool:
    """Return whether `claim` would give this request away."""
    if request.state == "open":
        return True
    if request.state != "claimed":
        return False
    living = claimants.alive(request.claimed_by)
    if living is None:
        return request.claimed_at is None or query.now() - request.claimed_at > LEASE
    return not living


def _first_free(requests: Iterable[RetrainRequest]) -> RetrainRequest | None:
    return next((request for request in requests if is_free(request)), None)
