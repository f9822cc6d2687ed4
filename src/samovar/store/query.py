"""What the repositories share: rows as frozen dataclasses, and inserts that leave alone what is there."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import TYPE_CHECKING, Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

T = TypeVar("T")


def now() -> dt.datetime:
    """Return the time, in UTC."""
    return dt.datetime.now(dt.UTC)


def values(row: Any) -> dict[str, Any]:
    """Return a row's fields by name; unlike ``dataclasses.asdict`` it copies nothing, which is most of a bulk insert's time."""
    return {field.name: getattr(row, field.name) for field in dataclasses.fields(row)}


def select(table: sa.Table, row: type[Any]) -> sa.Select[Any]:
    """Select the columns that the dataclass ``row`` has fields for."""
    return sa.select(*(table.c[field.name] for field in dataclasses.fields(row)))


def all_(connection: sa.Connection, row: type[T], statement: sa.Select[Any]) -> list[T]:
    """Return every row of the statement."""
    found = connection.execute(statement)
    names = tuple(found.keys())
    return [row(**dict(zip(names, values, strict=True))) for values in found]


def first(connection: sa.Connection, row: type[T], statement: sa.Select[Any]) -> T | None:
    """Return the first row of the statement, if there is one."""
    found = connection.execute(statement.limit(1)).mappings().first()
    return None if found is None else row(**found)


def insert(connection: sa.Connection, table: sa.Table, row: Mapping[str, Any]) -> bool:
    """Insert a row; returns False, and changes nothing, where one of the table's unique keys is taken."""
    return bool(connection.execute(_insert_new(connection, table), dict(row)).rowcount)


def insert_many(connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows in bulk, but those whose unique key is taken."""
    if rows:
        connection.execute(_insert_new(connection, table), [dict(row) for row in rows])


def _insert_new(connection: sa.Connection, table: sa.Table) -> sa.Insert:
    if connection.dialect.name == "postgresql":
        return postgresql.insert(table).on_conflict_do_nothing()
    return sqlite.insert(table).on_conflict_do_nothing()
