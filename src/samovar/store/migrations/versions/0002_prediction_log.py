"""The prediction log: what endpoints answered."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_WHEN = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "spool_segments",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("segment", sa.String(length=64), nullable=False),
        sa.Column("project", sa.String(length=63), nullable=False),
        sa.Column("model", sa.String(length=255), nullable=False),
        sa.Column("alias", sa.String(length=255), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("contract", sa.String(length=64), nullable=False),
        sa.Column("fields", sa.JSON(), nullable=False),
        sa.Column("classes", sa.JSON(), nullable=False),
        sa.Column("requests", sa.Integer(), nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("torn", sa.Integer(), nullable=False),
        sa.Column("first_at", _WHEN, nullable=True),
        sa.Column("last_at", _WHEN, nullable=True),
        sa.Column("shipped_at", _WHEN, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_spool_segments")),
        sa.UniqueConstraint("segment", name=op.f("uq_spool_segments_segment")),
    )
    op.create_index("ix_spool_segments_model", "spool_segments", ["model", "last_at"], unique=False)
    op.create_table(
        "prediction_log",
        sa.Column("segment", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", _WHEN, nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("row_index", sa.Integer(), nullable=False),
        sa.Column("route", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("probabilities", sa.JSON(), nullable=True),
        sa.Column("features", sa.JSON(), nullable=True),
        sa.PrimaryKeyConstraint("segment", "position", name=op.f("pk_prediction_log")),
        sqlite_with_rowid=False,
    )
