"""Tables of the app database (SQLAlchemy Core). Migrations in ``store/migrations`` create them; nothing else does.

Times are UTC. Digests are lower-case hex SHA-256. JSON columns hold what a person or a report reads, never what a query filters on.
Text that comes from data (keys, labels, predictions) has no length: SQLite would not check one, PostgreSQL would.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)

if TYPE_CHECKING:
    from sqlalchemy.engine import Dialect


class Utc(TypeDecorator[dt.datetime]):
    """A UTC time that comes back with its time zone; SQLite alone would drop it."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: dt.datetime | None, dialect: Dialect) -> dt.datetime | None:  # noqa: ARG002 - base class
        """Refuse a time without a zone, since nobody knows what it means."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("times in the app database carry their time zone")
        return value.astimezone(dt.UTC)

    def process_result_value(self, value: dt.datetime | None, dialect: Dialect) -> dt.datetime | None:  # noqa: ARG002 - base class
        """Put the zone back."""
        if value is None:
            return None
        return value.replace(tzinfo=dt.UTC) if value.tzinfo is None else value.astimezone(dt.UTC)


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_WHEN = Utc()

datasets = Table(
    "datasets",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("project", String(63), nullable=False),
    Column("digest", String(64), nullable=False),  # of the accepted rows' content
    Column("origin", String(16), nullable=False),  # source | injected
    Column("parent", String(64), nullable=False, default=""),  # digest of the dataset that an injected one came from
    Column("contract", String(64), nullable=False),  # digest of the contract it was checked against
    Column("url", Text, nullable=False),  # Parquet snapshot in the lake
    Column("rows", Integer, nullable=False),
    Column("rejected", Integer, nullable=False),
    Column("report", JSON, nullable=False),  # anomalies of the whole
    Column("created_at", _WHEN, nullable=False),
    UniqueConstraint("project", "digest"),
)

quarantine = Table(
    "quarantine",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("project", String(63), nullable=False),
    Column("batch", String(64), nullable=False),  # digest of the raw rows, accepted and rejected
    Column("row_index", Integer, nullable=False),  # position in the raw rows, from 0
    Column("field", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("row", JSON, nullable=False),  # the whole row as it came
    Column("created_at", _WHEN, nullable=False),
    UniqueConstraint("project", "batch", "row_index", "field"),
)

predictions = Table(
    "predictions",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("project", String(63), nullable=False),
    Column("model", String(255), nullable=False),
    Column("version", Integer, nullable=False),
    Column("role", String(16), nullable=False),  # champion | shadow
    Column("dataset", String(64), nullable=False),
    Column("row_index", Integer, nullable=False),
    Column("key", Text, nullable=False, default=""),
    Column("prediction", Text, nullable=False),
    Column("probability", Float),  # of the positive class, or of the predicted one
    Column("created_at", _WHEN, nullable=False),
    UniqueConstraint("model", "version", "dataset", "row_index"),
)

spool_segments = Table(
    "spool_segments",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("segment", String(64), nullable=False, unique=True),  # file of an endpoint's prediction log: shipped once
    Column("project", String(63), nullable=False),  # empty for a model logged elsewhere
    Column("model", String(255), nullable=False),
    Column("alias", String(255), nullable=False),
    Column("version", Integer, nullable=False),
    Column("role", String(16), nullable=False),  # champion | shadow
    Column("contract", String(64), nullable=False),  # digest
    Column("fields", JSON, nullable=False),  # [name, keep | hash | drop] of each field, the key first
    Column("classes", JSON, nullable=False),  # class labels in the order of the probabilities
    Column("requests", Integer, nullable=False),
    Column("rows", Integer, nullable=False),
    Column("torn", Integer, nullable=False),  # bytes at the file's end that are no whole record
    Column("first_at", _WHEN),  # of the first and the last row; null when there is none
    Column("last_at", _WHEN),
    Column("shipped_at", _WHEN, nullable=False),
)

prediction_log = Table(
    "prediction_log",
    metadata,
    Column("segment", Integer, primary_key=True, autoincrement=False),  # spool_segments.id
    Column("position", Integer, primary_key=True, autoincrement=False),  # of the row in its segment, from 0
    Column("at", _WHEN, nullable=False),
    Column("request_id", Text, nullable=False),  # clients may repeat theirs
    Column("row_index", Integer, nullable=False),  # position in the request, from 0
    Column("route", Text, nullable=False),
    Column("key", Text, nullable=False),  # empty when the contract has none, or it is not logged
    Column("label", Text, nullable=False),  # empty when the answer is no label
    Column("probabilities", JSON),  # in the order of the segment's classes
    sqlite_with_rowid=False,  # one tree, in the order in which rows come and go: half the size and time of two
)

prediction_features = Table(
    "prediction_features",
    metadata,
    Column("segment", Integer, primary_key=True, autoincrement=False),  # spool_segments.id
    Column("first", Integer, primary_key=True, autoincrement=False),  # position of the first row in prediction_log
    Column("rows", Integer, nullable=False),  # that follow each other
    Column("columns", JSON, nullable=False),  # what is logged of them: field -> a value a row
)

labels = Table(
    "labels",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("project", String(63), nullable=False),
    Column("key", Text, nullable=False),
    Column("label", Text, nullable=False),
    Column("observed_at", _WHEN, nullable=False),
    UniqueConstraint("project", "key"),
)

drift_reports = Table(
    "drift_reports",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("project", String(63), nullable=False),
    Column("model", String(255), nullable=False),
    Column("version", Integer, nullable=False),  # whose reference profile was the yardstick
    Column("dataset", String(64), nullable=False),
    Column("settings", String(64), nullable=False),  # digest of the drift policy
    Column("verdict", String(16), nullable=False),  # ok | alarm | too_few_rows
    Column("worst_psi", Float, nullable=False),
    Column("report", JSON, nullable=False),
    Column("folder", Text, nullable=False),  # drift_report.csv, .json, .html
    Column("created_at", _WHEN, nullable=False),
    UniqueConstraint("model", "version", "dataset", "settings"),
)

decisions = Table(
    "decisions",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("key", String(64), nullable=False, unique=True),  # identity: the same evidence gives one decision
    Column("kind", String(16), nullable=False),  # promote | rollback | set | delete | external
    Column("project", String(63), nullable=False, default=""),
    Column("model", String(255), nullable=False),
    Column("alias", String(255), nullable=False),
    Column("from_version", Integer),
    Column("to_version", Integer),  # null: the alias is deleted
    Column("verdict", String(16), nullable=False),  # approved | rejected | advised (manual promotion)
    Column("reason", Text, nullable=False),
    Column("evidence", JSON, nullable=False),
    Column("actor", String(255), nullable=False),
    Column("created_at", _WHEN, nullable=False),
    Column("applied_at", _WHEN),  # when the alias was seen where the decision put it
)

pipeline_runs = Table(
    "pipeline_runs",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("key", String(64), nullable=False, unique=True),  # digest of (step, project, dataset, code, settings)
    Column("step", String(32), nullable=False),
    Column("project", String(63), nullable=False),
    Column("status", String(16), nullable=False),  # running | done | failed
    Column("attempts", Integer, nullable=False, default=1),
    Column("result", JSON(none_as_null=True)),
    Column("error", Text),
    Column("started_at", _WHEN, nullable=False),
    Column("finished_at", _WHEN),
)

retrain_requests = Table(
    "retrain_requests",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("project", String(63), nullable=False),
    Column("window", String(64), nullable=False),  # trigger window: one request a window
    Column("dataset", String(64), nullable=False),  # the dataset that drifted
    Column("cause", Text, nullable=False),
    Column("state", String(16), nullable=False),  # open | claimed | done | failed
    Column("claimed_by", String(255), nullable=False, default=""),
    Column("claimed_at", _WHEN),
    Column("finished_at", _WHEN),
    Column("created_at", _WHEN, nullable=False),
    UniqueConstraint("project", "window"),
)

events = Table(
    "events",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at", _WHEN, nullable=False),
    Column("kind", String(32), nullable=False),
    Column("model", String(255), nullable=False, default=""),
    Column("alias", String(255), nullable=False, default=""),
    Column("detail", JSON, nullable=False),
    Column("alarm", Boolean, nullable=False, default=False),
)

trust = Table(
    "trust",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("model", String(255), nullable=False),
    Column("version", Integer, nullable=False),  # 0: every version of the model
    Column("actor", String(255), nullable=False),
    Column("created_at", _WHEN, nullable=False),
    UniqueConstraint("model", "version"),
)

leases = Table(
    "leases",
    metadata,
    Column("name", String(255), primary_key=True),
    Column("holder", String(255), nullable=False),  # empty: given back
    Column("epoch", BigInteger, nullable=False),  # grows with each take-over
    Column("beat", BigInteger, nullable=False),  # grows with each renewal
    Column("seconds", Float, nullable=False),  # so long without a renewal, and anybody may take it
    Column("renewed_at", _WHEN, nullable=False),  # for people: no decision rests on it
)

Index("ix_spool_segments_model", spool_segments.c.model, spool_segments.c.last_at)
Index("ix_predictions_dataset", predictions.c.project, predictions.c.dataset)
Index("ix_decisions_alias", decisions.c.model, decisions.c.alias, decisions.c.created_at)
Index("ix_events_at", events.c.at)
