"""Quarantine: rows that broke the contract, as they came, each with field and reason."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from samovar.store import query
from samovar.store.tables import quarantine

if TYPE_CHECKING:
    from collections.abc import Sequence

    import sqlalchemy as sa


@dataclasses.dataclass(frozen=True, slots=True)
class Item:
    """One broken rule of one row.

    Attributes:
        row_index: position in the raw rows, from 0.
        field: the contract's field.
        reason: what was expected.
        row: the whole row as it came.
    """

    row_index: int
    field: str
    reason: str
    row: dict[str, Any]


def add(connection: sa.Connection, project: str, batch: str, items: Sequence[Item]) -> None:
    """Store the rejected rows of a batch (the digest of its raw rows); those that are there stay as they are."""
    at = query.now()
    rows = [{**dataclasses.asdict(item), "project": project, "batch": batch, "created_at": at} for item in items]
    query.insert_many(connection, quarantine, rows)


def list_(connection: sa.Connection, project: str, batch: str | None = None) -> list[Item]:
    """Return a project's rejected rows, of one batch if given, in the order of the raw rows."""
    statement = query.select(quarantine, Item).where(quarantine.c.project == project)
    if batch is not None:
        statement = statement.where(quarantine.c.batch == batch)
    return query.all_(connection, Item, statement.order_by(quarantine.c.id))
