"""Reading the prediction log: what was answered when by whom, and what came true. Streamed, for it may be long."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from samovar.store.tables import labels, prediction_features, prediction_log, spool_segments

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator, Sequence

_AT_ONCE = 5000


@dataclasses.dataclass(frozen=True, slots=True)
class Group:
    """Logged rows of one version in one role.

    Attributes:
        role: ``champion``, ``challenger`` or ``shadow``.
        version: who answered.
        rows: how many.
        first_at: the earliest of them.
        last_at: the latest.
    """

    role: str
    version: int
    rows: int
    first_at: dt.datetime
    last_at: dt.datetime


@dataclasses.dataclass(frozen=True, slots=True)
class Judged:
    """One logged row whose label is known.

    Attributes:
        role: of whoever answered.
        request_id: of the request.
        row_index: position in the request.
        key: the row's key, or the empty text.
        label: what was answered.
        probabilities: in the order of ``classes``, or None.
        truth: what came true.
        classes: the version's, as text.
    """

    role: str
    request_id: str
    row_index: int
    key: str
    label: str
    probabilities: list[float] | None
    truth: str
    classes: Sequence[Any]


def groups(connection: sa.Connection, model: str, alias: str, *, since: dt.datetime | None = None) -> list[Group]:
    """Return who answered for an alias, in files that end after ``since``."""
    one: Any = spool_segments.c
    first, last = sa.func.min(one.first_at).label("first_at"), sa.func.max(one.last_at).label("last_at")
    statement = sa.select(one.role, one.version, sa.func.sum(one.rows).label("rows"), first, last).group_by(one.role, one.version)
    statement = statement.where(one.model == model, one.alias == alias, one.rows > 0)
    if since is not None:
        statement = statement.where(one.last_at >= since)
    return [Group(**row) for row in connection.execute(statement.order_by(one.role, one.version)).mappings()]


def judged(  # noqa: PLR0913 - whose rows, and of when
    connection: sa.Connection,
    model: str,
    alias: str,
    who: Sequence[tuple[str, int]],
    *,
    since: dt.datetime | None = None,
    until: dt.datetime | None = None,
) -> Iterator[Judged]:
    """Yield the logged rows of (role, version) pairs whose label is known.

    A label is a row's by the row's key, or by ``REQUEST_ID/ROW``, or by the request's id where it is the request's first row.
    """
    row, segment = prediction_log.c, spool_segments.c
    project = sa.func.coalesce(sa.func.nullif(segment.project, ""), segment.model)
    joined, found = _labelled(prediction_log.join(spool_segments, segment.id == row.segment), project)
    columns = (row.request_id, row.row_index, row.key, row.label, row.probabilities, found.label("truth"))
    statement = sa.select(segment.role, *columns, segment.classes).select_from(joined)
    pairs = sa.or_(*(sa.and_(segment.role == role, segment.version == version) for role, version in who))
    statement = statement.where(segment.model == model, segment.alias == alias, pairs, found.is_not(None), row.label != "")
    if since is not None:
        statement = statement.where(row.at >= since)
    if until is not None:
        statement = statement.where(row.at <= until)
    for one in _streamed(connection, statement):
        yield Judged(*one)


def _labelled(rows: sa.FromClause, project: sa.ColumnElement[str]) -> tuple[sa.FromClause, sa.ColumnElement[str]]:
    """Join logged rows with their labels; returns the join, and the label or null. Each look is one into an index."""
    row = prediction_log.c
    by_key, by_row, by_request = (labels.alias(name) for name in ("by_key", "by_row", "by_request"))
    place = row.request_id + "/" + sa.cast(row.row_index, sa.Text)
    joined = (
        rows.outerjoin(by_key, sa.and_(by_key.c.project == project, by_key.c.key == row.key, row.key != ""))
        .outerjoin(by_row, sa.and_(by_row.c.project == project, by_row.c.key == place))
        .outerjoin(by_request, sa.and_(by_request.c.project == project, by_request.c.key == row.request_id, row.row_index == 0))
    )
    return joined, sa.func.coalesce(by_key.c.label, by_row.c.label, by_request.c.label)


def _streamed(connection: sa.Connection, statement: sa.Select[Any]) -> Iterator[Any]:
    yield from connection.execution_options(stream_results=True, yield_per=_AT_ONCE).execute(statement)


@dataclasses.dataclass(frozen=True, slots=True)
class Segment:
    """A shipped file, for whoever goes through the log file by file.

    Attributes:
        id: its number.
        segment: its name, unique among all.
        project: whose version answered; empty for a model logged elsewhere.
        version: who answered.
        fields: name and policy of each field.
        classes: of the version.
        contract: digest of the contract.
        rows: how many are in it.
    """

    id: int
    segment: str
    project: str
    version: int
    fields: Sequence[Sequence[str]]
    classes: Sequence[Any]
    contract: str
    rows: int


def segments(connection: sa.Connection, model: str, alias: str, *, since: dt.datetime, until: dt.datetime) -> list[Segment]:
    """Return the files of whoever answered clients of an alias (shadows' are copies) in a span of time, in the order of arrival."""
    one: Any = spool_segments.c
    statement = sa.select(*(spool_segments.c[field.name] for field in dataclasses.fields(Segment)))
    statement = statement.where(one.model == model, one.alias == alias, one.role != "shadow", one.rows > 0)
    statement = statement.where(one.last_at >= since, one.first_at <= until).order_by(one.id)
    return [Segment(**row) for row in connection.execute(statement).mappings()]


@dataclasses.dataclass(frozen=True, slots=True)
class Answered:
    """Logged rows that follow each other in a file, with what they were asked about.

    Attributes:
        first: position of the first in the file.
        columns: values by field, n each; empty where nothing is logged of them.
        at: when, n.
        keys: n.
        labels: n answers.
        probabilities: n, each in the order of the file's classes or None.
        truths: n labels that came true, None where none is known.
    """

    first: int
    columns: dict[str, list[Any]]
    at: list[dt.datetime]
    keys: list[str]
    labels: list[str]
    probabilities: list[list[float] | None]
    truths: list[str | None]


def answered(connection: sa.Connection, segment: Segment, project: str) -> Iterator[Answered]:
    """Yield a file's rows a table of values at a time, in their order."""
    table = prediction_features.c
    tables = sa.select(table.first, table.rows, table.columns).where(table.segment == segment.id).order_by(table.first)
    row = prediction_log.c
    joined, truth = _labelled(prediction_log, sa.literal(project))
    for first, count, columns in connection.execute(tables).all():
        statement = sa.select(row.at, row.key, row.label, row.probabilities, truth).select_from(joined)
        statement = statement.where(row.segment == segment.id, row.position >= first, row.position < first + count)
        found = connection.execute(statement.order_by(row.position)).all()
        at, keys, answers, probabilities, truths = (list(part) for part in zip(*found, strict=True)) if found else ([],) * 5
        yield Answered(first, columns, at, keys, answers, probabilities, truths)


__all__ = ["Answered", "Group", "Judged", "Segment", "answered", "groups", "judged", "segments"]
