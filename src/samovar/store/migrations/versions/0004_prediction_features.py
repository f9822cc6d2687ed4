"""The values of logged rows: by the thousand and as columns, no longer one JSON object a row."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from alembic import op

if TYPE_CHECKING:
    from collections.abc import Iterator

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_AT_ONCE = 1_000  # rows of one table of values


def upgrade() -> None:
    op.create_table(
        "prediction_features",
        sa.Column("segment", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("first", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("columns", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("segment", "first", name=op.f("pk_prediction_features")),
    )
    _move(op.get_bind())
    op.drop_column("prediction_log", "features")


def _move(connection: sa.Connection) -> None:
    new = sa.table("prediction_features", *map(sa.column, ("segment", "first", "rows")), sa.column("columns", sa.JSON))
    old = sa.table("prediction_log", sa.column("segment"), sa.column("position"), sa.column("features", sa.JSON))
    for segment in list(connection.scalars(sa.select(old.c.segment).distinct().order_by(old.c.segment))):
        rows = connection.execute(
            sa.select(old.c.position, old.c.features).where(old.c.segment == segment).order_by(old.c.position)
        )
        made = [{"segment": segment, **table} for table in _tables(rows)]
        if made:
            connection.execute(sa.insert(new), made)


def _tables(rows: Any) -> Iterator[dict[str, Any]]:
    """Put rows together that follow each other and have the same fields."""
    first = 0
    found: list[dict[str, Any]] = []
    for position, told in rows:
        features = json.loads(told) if isinstance(told, str) else told
        fits = found and features is not None and position == first + len(found) and features.keys() == found[0].keys()
        if found and (not fits or len(found) == _AT_ONCE):
            yield _table(first, found)
            found = []
        if features is not None:
            first = first if found else position
            found.append(features)
    if found:
        yield _table(first, found)


def _table(first: int, found: list[dict[str, Any]]) -> dict[str, Any]:
    return {"first": first, "rows": len(found), "columns": {name: [row[name] for row in found] for name in found[0]}}
