"""Labels: what came true, by row key."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import sqlalchemy as sa

from samovar.store import query
from samovar.store.tables import labels

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence


@dataclasses.dataclass(frozen=True, slots=True)
class Label:
    """The true label of one row.

    Attributes:
        project: whose row.
        key: the row's key.
        label: the label, as text.
        observed_at: when it became known.
    """

    project: str
    key: str
    label: str
    observed_at: dt.datetime = dataclasses.field(default_factory=query.now)


def add(connection: sa.Connection, rows: Sequence[Label]) -> None:
    """Store labels in bulk; the first label of a row stays."""
    query.insert_many(connection, labels, [dataclasses.asdict(row) for row in rows])


def of(connection: sa.Connection, project: str) -> dict[str, str]:
    """Return a project's labels by row key."""
    statement = query.select(labels, Label).where(labels.c.project == project)
    return {row.key: row.label for row in query.all_(connection, Label, statement)}


def known(connection: sa.Connection, project: str, keys: Sequence[str]) -> dict[str, str]:
    """Return the labels that some rows have already, by row key; as many keys as fit into one query."""
    statement = sa.select(labels.c.key, labels.c.label).where(labels.c.project == project, labels.c.key.in_(keys))
    return {row.key: row.label for row in connection.execute(statement)}
